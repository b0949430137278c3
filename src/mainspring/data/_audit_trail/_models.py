"""What the audit trail keeps: entries that are only ever added, and the seals over them."""

import json
from datetime import datetime
from typing import Any, Literal, override

from sqlalchemy import BigInteger, Dialect, Index, LargeBinary, String, Text, TypeDecorator, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from mainspring.data._base import Base, Identified

type Action = Literal["create", "update", "delete", "soft_delete", "restore", "bulk"]


def canonical(value: Any) -> str:
    """JSON of which there is one form for each value; what digests are made of."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


class CanonicalJson(TypeDecorator[dict[str, Any]]):
    """JSON kept as the very text that the digest was made of, which `json` and `jsonb` columns do not promise."""

    impl = Text
    cache_ok = True

    @override
    def process_bind_param(self, value: dict[str, Any] | None, dialect: Dialect) -> str | None:
        return None if value is None else canonical(value)

    @override
    def process_result_value(self, value: str | None, dialect: Dialect) -> dict[str, Any] | None:
        return None if value is None else dict(json.loads(value))


class AuditEntry(Identified, Base):
    """One change of one row. Entries of a row are its chain: numbered from 1, each holds the digest of the one before."""

    __tablename__ = "audit_entries"
    __table_args__ = (
        # Two entries that follow the same one would be a fork; the row's own lock prevents it, and this proves it.
        UniqueConstraint("entity_type", "entity_id", "sequence"),
        Index("ix_audit_entries_epoch_id", "epoch", "id"),
        Index("ix_audit_entries_actor_id_occurred_at", "actor_id", "occurred_at"),
    )

    entity_type: Mapped[str] = mapped_column(String(200))
    """The table, with its schema if it has one."""
    entity_id: Mapped[str] = mapped_column(String(200))
    """The primary key as text; a JSON list where it has several columns."""
    sequence: Mapped[int] = mapped_column(BigInteger)
    """Which entry of its chain, from 1."""
    occurred_at: Mapped[datetime] = mapped_column(index=True)
    action: Mapped[str] = mapped_column(String(16))
    """`create`, `update`, `delete`, `soft_delete`, `restore`; `bulk` is a statement over many rows."""
    actor_kind: Mapped[str] = mapped_column(String(32))
    """`user`, `job` or what else the service has; `system` where nobody was named."""
    actor_id: Mapped[str] = mapped_column(String(200))
    request_id: Mapped[str | None] = mapped_column(String(200), index=True)
    trace_id: Mapped[str | None] = mapped_column(String(64))
    reason: Mapped[str | None] = mapped_column(Text)
    before: Mapped[dict[str, Any] | None] = mapped_column(CanonicalJson)
    """By attribute: what it was. None for a new row; what the session had not read is left out."""
    after: Mapped[dict[str, Any] | None] = mapped_column(CanonicalJson)
    """By attribute: what it is now. None for a row that is gone."""
    previous: Mapped[bytes | None] = mapped_column(LargeBinary(32))
    """The digest of the entry before it in its chain."""
    previous_epoch: Mapped[int | None] = mapped_column(BigInteger)
    """The epoch of that entry, so that a chain may lose its beginning to `purge` and to nothing else; None where the
    two are of one transaction."""
    key_id: Mapped[str] = mapped_column(String(16))
    """Which secret key the digest was made with."""
    digest: Mapped[bytes] = mapped_column(LargeBinary(32))
    """HMAC-SHA256 over everything above."""
    epoch: Mapped[int] = mapped_column(BigInteger)
    """The number of the newest seal when it was written; decided by the database, and vouched for by a later seal."""


class AuditSeal(Base):
    """One link of the chain over the whole trail.

    Seal n ends epoch n - 1, and vouches for the entries of epoch n - 2, in which nobody can write any more.
    """

    __tablename__ = "audit_seals"

    number: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    sealed_at: Mapped[datetime]
    entries: Mapped[int] = mapped_column(BigInteger)
    """How many the epoch has."""
    content: Mapped[bytes] = mapped_column(LargeBinary(32))
    """SHA-256 over their digests, by id."""
    purged_through: Mapped[int] = mapped_column(BigInteger)
    """Up to which epoch entries have been purged; -1 for none."""
    previous: Mapped[bytes | None] = mapped_column(LargeBinary(32))
    """The digest of the seal before it."""
    key_id: Mapped[str] = mapped_column(String(16))
    digest: Mapped[bytes] = mapped_column(LargeBinary(32))
    """HMAC-SHA256 over everything above."""
