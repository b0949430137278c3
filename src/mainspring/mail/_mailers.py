"""Ways to get rid of a message."""

import asyncio
from collections import deque
from email.message import EmailMessage
from pathlib import Path
from typing import Protocol, runtime_checkable
from urllib.parse import unquote, urlsplit

from mainspring.kernel import new_id
from mainspring.observability import get_logger

from ._message import Message

_log = get_logger(__name__)


@runtime_checkable
class Mailer(Protocol):
    """Sends e-mail."""

    async def send(self, message: Message) -> None:
        """Hand the message over; returns when somebody else has taken responsibility for it.

        Raises:
            OSError: It could not be handed over.
        """


class CaughtMailer:
    """Keeps messages in memory instead of sending them, so that nothing leaves a developer's machine.

    Args:
        keep: How many of the latest messages; older ones are forgotten.
    """

    def __init__(self, *, keep: int = 200) -> None:
        self._messages: deque[Message] = deque(maxlen=keep)

    @property
    def messages(self) -> list[Message]:
        """What was sent, oldest first."""
        return list(self._messages)

    async def send(self, message: Message) -> None:
        """Keep the message and say so in the log."""
        self._messages.append(message)
        _log.info("E-mail caught, not sent (MAIL_URL=caught:)", to=message.to, subject=message.subject)


class FolderMailer:
    """Writes each message as an `.eml` file.

    Args:
        folder: Where; made when missing.
        sender: The From address.
    """

    def __init__(self, folder: Path, *, sender: str) -> None:
        self._folder = folder
        self._sender = sender

    async def send(self, message: Message) -> None:
        """Write the file."""
        email = message.as_email(self._sender)
        await asyncio.to_thread(self._write, email)

    def _write(self, email: EmailMessage) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / f"{new_id()}.eml").write_bytes(bytes(email))


class SmtpMailer:
    """Sends by SMTP, one connection per message.

    Args:
        url: `smtp://user:password@host:587` (STARTTLS is used where the server offers it) or `smtps://…:465` (TLS from
            the first byte).
        sender: The From address.
        timeout: Seconds for the whole exchange.

    Raises:
        ModuleNotFoundError: The `smtp` extra is not installed.
    """

    def __init__(self, url: str, *, sender: str, timeout: float = 10.0) -> None:
        try:
            import aiosmtplib  # noqa: PLC0415 -- an optional extra
        except ModuleNotFoundError as error:
            hint = "Sending e-mail needs aiosmtplib. Install it: uv add 'mainspring[smtp]'."
            raise ModuleNotFoundError(hint, name="aiosmtplib") from error
        self._smtp = aiosmtplib
        self._url = urlsplit(url)
        self._sender = sender
        self._timeout = timeout

    async def send(self, message: Message) -> None:
        """Hand the message to the server.

        Raises:
            OSError: The server cannot be reached, or does not take the message.
        """
        url = self._url
        secure = url.scheme == "smtps"
        try:
            await self._smtp.send(
                message.as_email(self._sender),
                hostname=url.hostname or "localhost",
                port=url.port or (465 if secure else 587),
                username=unquote(url.username) if url.username else None,
                password=unquote(url.password) if url.password else None,
                use_tls=secure,
                timeout=self._timeout,
            )
        except self._smtp.SMTPException as error:
            raise OSError(f"The mail server {url.hostname} did not take the message: {error}") from error
