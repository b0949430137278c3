"""E-mail leaves, or says why it does not."""

import asyncio
import email
from contextlib import asynccontextmanager
from email import policy

import pytest

from mainspring.kernel import Registry
from mainspring.mail import CaughtMailer, FolderMailer, Mailer, MailSettings, Message, SmtpMailer, mail_resource
from mainspring.settings import BootError

HELLO = Message(to="ada@example.com", subject="Grüße", text="Hello Ada,\n\nwelcome.\n")
SENDER = "Shop <shop@example.com>"


@asynccontextmanager
async def smtp_server(*, refuse=b""):
    """A mail server that takes one kind of dialogue, and the mails it was handed."""
    mails: list[bytes] = []

    async def talk(reader, writer):
        async def say(line):
            writer.write(line + b"\r\n")
            await writer.drain()

        await say(b"220 test")
        while line := await reader.readline():
            verb = line[:4].upper()
            if refuse and verb == refuse:
                await say(b"550 no")
            elif verb == b"DATA":
                await say(b"354 go on")
                mails.append(await reader.readuntil(b"\r\n.\r\n"))
                await say(b"250 taken")
            elif verb == b"QUIT":
                await say(b"221 bye")
                break
            else:
                await say(b"250 fine")
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], mails


def test_a_message_is_a_whole_e_mail():
    parsed = HELLO.as_email(SENDER)

    assert (parsed["From"], parsed["To"], parsed["Subject"]) == (SENDER, "ada@example.com", "Grüße")
    assert parsed["Message-ID"].endswith("@example.com>")
    assert parsed["Date"]
    assert parsed.get_content() == HELLO.text


@pytest.mark.parametrize(
    "message",
    [
        Message(to="ada@example.com\r\nBcc: eve@example.com", subject="x", text=""),
        Message(to="ada@example.com", subject="x\nBcc: eve@example.com", text=""),
    ],
)
def test_a_line_break_cannot_smuggle_in_a_header(message):
    with pytest.raises(ValueError, match=r"(?i)linefeed|newline|header"):
        message.as_email(SENDER)


async def test_caught_messages_are_kept_in_order_and_the_oldest_forgotten():
    mailer = CaughtMailer(keep=2)

    for number in range(3):
        await mailer.send(Message(to="ada@example.com", subject=str(number), text=""))

    assert [message.subject for message in mailer.messages] == ["1", "2"]


async def test_a_folder_gets_one_readable_file_per_message(tmp_path):
    mailer = FolderMailer(tmp_path / "mail", sender=SENDER)

    await mailer.send(HELLO)
    await mailer.send(HELLO)

    files = sorted((tmp_path / "mail").glob("*.eml"))
    assert len(files) == 2
    assert email.message_from_bytes(files[0].read_bytes(), policy=policy.default).get_content() == HELLO.text


async def test_a_message_reaches_the_server():
    async with smtp_server() as (port, mails):
        await SmtpMailer(f"smtp://127.0.0.1:{port}", sender=SENDER).send(HELLO)

    (taken,) = mails
    assert b"Hello Ada" in taken


@pytest.mark.parametrize("refuse", [b"MAIL", b"RCPT", b"EHLO"])
async def test_a_server_that_refuses_is_an_oserror(refuse):
    async with smtp_server(refuse=refuse) as (port, mails):
        mailer = SmtpMailer(f"smtp://127.0.0.1:{port}", sender=SENDER)
        if refuse == b"EHLO":
            await mailer.send(HELLO)
            assert mails
            return
        with pytest.raises(OSError, match=r"550|refused"):
            await mailer.send(HELLO)


async def test_a_server_that_is_not_there_is_an_oserror():
    async with smtp_server() as (port, _):
        pass

    with pytest.raises(OSError, match=r"\S"):
        await SmtpMailer(f"smtp://127.0.0.1:{port}", sender=SENDER, timeout=2).send(HELLO)


@pytest.mark.parametrize(
    ("url", "kind"), [("caught:", CaughtMailer), ("folder:mails", FolderMailer), ("smtp://mail", SmtpMailer)]
)
async def test_the_setting_chooses_the_mailer(url, kind):
    registry = Registry([mail_resource(MailSettings(mail_url=url))])
    await registry.start()

    assert isinstance(registry.get(Mailer), kind)


def test_an_unknown_way_is_refused():
    with pytest.raises(BootError, match="no known way"):
        MailSettings(mail_url="pigeon://loft")


def test_production_does_not_keep_mail_in_memory_unless_told_to():
    good = {
        "environment": "production",
        "secret_key": "q8s7dJ2kLp0VbX4nT6yR1wZ3mC5hF9aEuGiKoNqS",
        "allowed_hosts": "shop.example.com",
        "database_url": "postgresql://db/shop",
    }
    with pytest.raises(BootError, match="never sent"):
        MailSettings(**good)
    MailSettings(**good, allow_in_production="caught-mail")
    MailSettings(**good, mail_url="smtp://mail")
