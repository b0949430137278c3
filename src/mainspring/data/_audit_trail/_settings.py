"""Settings of the audit trail."""

from pydantic import Field, SecretStr

from mainspring.settings import Settings


class AuditTrailSettings(Settings):
    """The settings section of the audit trail."""

    former_secret_keys: tuple[SecretStr, ...] = ()
    """What `SECRET_KEY` was before, as a JSON list, so that entries that were made with it are still believed. Nothing new
    is made with them."""
    audit_trail_seal_seconds: float = Field(default=60.0, ge=0, le=86400)
    """Seconds between two seals over the audit trail, while there is something to seal; 0 for none. 60 by default:
    entries that vanish unnoticed are those of two minutes at most."""
