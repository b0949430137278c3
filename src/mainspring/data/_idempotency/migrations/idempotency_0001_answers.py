"""Answers by idempotency key."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from mainspring.data import UtcDateTime

revision: str = "idempotency_0001"
down_revision: str | None = None
branch_labels: Sequence[str] | None = ("idempotency",)
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "idempotent_answers",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(length=32), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("headers", sa.JSON(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_idempotent_answers")),
        sa.UniqueConstraint("digest", name=op.f("uq_idempotent_answers_digest")),
    )
    with op.batch_alter_table("idempotent_answers", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_idempotent_answers_expires_at"), ["expires_at"], unique=False)


def downgrade() -> None:
    op.drop_table("idempotent_answers")
