"""Digests that nobody can make who has the database alone."""

import hmac
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from ._models import canonical

_PURPOSE = b"mainspring audit trail 1"
_SIGNED = {
    "entry": (
        "id",
        "entity_type",
        "entity_id",
        "sequence",
        "occurred_at",
        "action",
        "actor_kind",
        "actor_id",
        "request_id",
        "trace_id",
        "reason",
        "before",
        "after",
        "previous",
        "previous_epoch",
        "key_id",
    ),
    "seal": ("number", "sealed_at", "entries", "content", "purged_through", "previous", "key_id"),
}


class AuditKeys:
    """The keys of an audit trail, derived from the service's secret keys.

    Args:
        secret: The service's secret key.
        former: Those that it had before. What was digested with them is still believed; nothing new is.
    """

    def __init__(self, secret: str, former: Iterable[str] = ()) -> None:
        derived = [hmac.digest(one.encode(), _PURPOSE, "sha256") for one in (secret, *former)]
        self._by_id = {_id_of(key): key for key in derived}
        self.current = _id_of(derived[0])
        """The id of the key that is used now."""

    def digest(self, kind: str, row: Mapping[str, Any]) -> bytes | None:
        """The digest of an `entry` or a `seal` as its `key_id` wants it; None if that key is not known.

        `before` and `after` are the texts that are stored.
        """
        key = self._by_id.get(row["key_id"])
        if key is None:
            return None
        content = canonical([kind, *(_plain(row[name]) for name in _SIGNED[kind])])
        return hmac.digest(key, content.encode("utf-8", "surrogatepass"), "sha256")


def _id_of(key: bytes) -> str:
    return hmac.digest(key, b"id", "sha256")[:4].hex()


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds")
    if isinstance(value, bytes | UUID):
        return bytes(value).hex() if isinstance(value, bytes) else value.hex
    return value
