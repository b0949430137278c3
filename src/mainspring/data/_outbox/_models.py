"""What waits to be delivered."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, BigInteger, Identity, Index, Integer, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from mainspring.data._base import Base
from mainspring.kernel import new_id

# SQLite numbers rows by INTEGER alone.
_Position = BigInteger().with_variant(Integer, "sqlite")


class OutboxRow(Base):
    """A message, from the transaction that recorded it until it is delivered."""

    __tablename__ = "outbox_messages"
    __table_args__ = (
        Index("ix_outbox_messages_key_position", "key", "position"),
        Index(
            "ix_outbox_messages_due_at",
            "due_at",
            postgresql_where=text("dead_at IS NULL"),
            sqlite_where=text("dead_at IS NULL"),
        ),
        # Numbers that were deleted must not come again: order is by them.
        {"sqlite_autoincrement": True},
    )

    position: Mapped[int] = mapped_column(_Position, Identity(always=True), primary_key=True)
    """By the database: what is recorded after another transaction's commit has a greater one."""
    id: Mapped[UUID] = mapped_column(default=new_id, unique=True)
    topic: Mapped[str] = mapped_column(String(200))
    key: Mapped[str | None] = mapped_column(String(200))
    payload: Mapped[str] = mapped_column(Text)
    headers: Mapped[dict[str, Any]] = mapped_column(JSON)
    recorded_at: Mapped[datetime]
    due_at: Mapped[datetime]
    """When it may be tried next; while a relay has it, when others may."""
    attempts: Mapped[int] = mapped_column(default=0)
    last_error: Mapped[str | None] = mapped_column(Text)
    dead_at: Mapped[datetime | None]
