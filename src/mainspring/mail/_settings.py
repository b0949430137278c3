"""Settings of e-mail, and the mailer as a resource."""

from collections.abc import Iterator
from pathlib import Path
from typing import override

from mainspring.kernel import Registry, Resource
from mainspring.settings import ConnectionUrl, Problem, Settings, masked

from ._mailers import CaughtMailer, FolderMailer, Mailer, SmtpMailer


class MailSettings(Settings):
    """The settings section of e-mail."""

    mail_url: ConnectionUrl = "caught:"
    """`caught:` keeps messages in memory, `folder:PATH` writes files, `smtp://user:password@host:587` and `smtps://`
    send them."""
    mail_from: str = "Mainspring <no-reply@localhost>"
    """The From address."""

    @override
    def refusals(self) -> Iterator[Problem]:
        """Also refuses a mailer that sends nothing, where strangers wait for their mail."""
        yield from super().refusals()
        if not self.mail_url.startswith(("caught:", "folder:", "smtp://", "smtps://")):
            yield Problem(
                self.origin("mail_url").key,
                "It names no known way to send.",
                "Use smtp://user:password@host:587, smtps://…, folder:PATH or caught:.",
                self.origin("mail_url").source,
            )
        caught = self.mail_url.startswith("caught:") and "caught-mail" not in self.allow_in_production
        if self.is_production and caught:
            yield Problem(
                self.origin("mail_url").key,
                "E-mail would be kept in memory and never sent.",
                "Set MAIL_URL=smtp://user:password@host:587, or waive: ALLOW_IN_PRODUCTION=caught-mail.",
                self.origin("mail_url").source,
            )


def mail_resource(settings: MailSettings) -> Resource[Mailer]:
    """The mailer that the settings name."""

    async def make(_: Registry) -> Mailer:
        scheme, __, rest = settings.mail_url.partition(":")
        if scheme == "caught":
            return CaughtMailer()
        if scheme == "folder":
            return FolderMailer(Path(rest), sender=settings.mail_from)
        return SmtpMailer(str(settings.mail_url), sender=settings.mail_from)

    return Resource(
        provides=Mailer,
        name="mail",
        make=make,
        backend=masked(settings.mail_url),
        chosen_by=settings.origin("mail_url").key,
        advice="Check MAIL_URL.",
    )
