"""E-mail: caught in development and tests, sent by SMTP in production."""

from ._mailers import CaughtMailer, FolderMailer, Mailer, SmtpMailer
from ._message import Message
from ._settings import MailSettings, mail_resource

__all__ = [
    "CaughtMailer",
    "FolderMailer",
    "MailSettings",
    "Mailer",
    "Message",
    "SmtpMailer",
    "mail_resource",
]
