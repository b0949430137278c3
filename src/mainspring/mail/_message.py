"""One e-mail."""

from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import formatdate, make_msgid


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A text e-mail to one person.

    Attributes:
        to: The address.
        subject: One line.
        text: The body, plain text: what every reader can show and no filter distrusts.
    """

    to: str
    subject: str
    text: str

    def as_email(self, sender: str) -> EmailMessage:
        """The message in RFC 5322 form.

        Raises:
            ValueError: An address or the subject contains a line break, which could smuggle in further headers.
        """
        email = EmailMessage()
        email["From"] = sender
        email["To"] = self.to
        email["Subject"] = self.subject
        email["Date"] = formatdate()
        email["Message-ID"] = make_msgid(domain=sender.rpartition("@")[2].strip("<> ") or "localhost")
        email.set_content(self.text)
        return email
