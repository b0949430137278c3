"""Settings of accounts."""

from pydantic import Field

from mainspring.mail import MailSettings


class AccountsSettings(MailSettings):
    """The settings section of accounts."""

    access_token_expire_minutes: int = Field(default=30, ge=1, le=24 * 60)
    """Minutes an access token is good for; a sign-out elsewhere takes effect at the latest then."""
    refresh_token_expire_days: int = Field(default=7, ge=1, le=365)
    """Days without use after which a person has to sign in again."""
