"""Messages of the outbox."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from mainspring.data import UtcDateTime

revision: str = "outbox_0001"
down_revision: str | None = None
branch_labels: Sequence[str] | None = ("outbox",)
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "outbox_messages",
        sa.Column(
            "position", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), sa.Identity(always=True), nullable=False
        ),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("topic", sa.String(length=200), nullable=False),
        sa.Column("key", sa.String(length=200), nullable=True),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("headers", sa.JSON(), nullable=False),
        sa.Column("recorded_at", UtcDateTime(), nullable=False),
        sa.Column("due_at", UtcDateTime(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("dead_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("position", name=op.f("pk_outbox_messages")),
        sa.UniqueConstraint("id", name=op.f("uq_outbox_messages_id")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("outbox_messages", schema=None) as batch_op:
        batch_op.create_index(
            "ix_outbox_messages_due_at",
            ["due_at"],
            unique=False,
            postgresql_where=sa.text("dead_at IS NULL"),
            sqlite_where=sa.text("dead_at IS NULL"),
        )
        batch_op.create_index("ix_outbox_messages_key_position", ["key", "position"], unique=False)


def downgrade() -> None:
    op.drop_table("outbox_messages")
