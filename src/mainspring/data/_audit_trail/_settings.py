"""Settings of the audit trail."""

from pydantic import Field, SecretStr

from mainspring.settings import Settings


class AuditTrailSettings(Settings):
    """The settings section of the audit trail."""

    former_secret_keys: SecretStr = SecretStr("")
    """Secret keys that `SECRET_KEY` had before, separated by commas, so that what they have sealed is still believed.
    Nothing new is made with them."""
    audit_trail_seal_seconds: float = Field(default=60.0, ge=0, le=86400)
    """Seconds between two seals over the audit trail, while there is something to seal; 0 for none. 60 by default:
    entries that vanish unnoticed are those of two minutes at most."""

    @property
    def former_secrets(self) -> tuple[str, ...]:
        """The former secret keys, one by one."""
        return tuple(key for part in self.former_secret_keys.get_secret_value().split(",") if (key := part.strip()))
