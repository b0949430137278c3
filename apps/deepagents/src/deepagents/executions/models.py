"""Executions and their traces."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, CheckConstraint, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from mainspring.data import Base, Identified, Timestamped, relationship


class ExecutionStep(Identified, Base):
    """One call of a model or a tool."""

    __tablename__ = "execution_steps"
    __table_args__ = (UniqueConstraint("execution_id", "seq"),)

    execution_id: Mapped[UUID] = mapped_column(ForeignKey("executions.id", ondelete="CASCADE"))
    seq: Mapped[int]
    kind: Mapped[str] = mapped_column(String(16))
    name: Mapped[str] = mapped_column(String(200))
    input: Mapped[dict[str, Any]] = mapped_column(JSON)
    output: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    error: Mapped[str | None] = mapped_column(Text)
    milliseconds: Mapped[float]
    input_tokens: Mapped[int | None]
    output_tokens: Mapped[int | None]


class Execution(Identified, Timestamped, Base):
    """One message to an agent and what came of it."""

    __tablename__ = "executions"
    __table_args__ = (
        CheckConstraint("status IN ('running', 'completed', 'failed', 'cancelled')", name="status_is_known"),
        Index("ix_executions_agent_id_created_at", "agent_id", "created_at"),
    )

    agent_id: Mapped[UUID] = mapped_column(ForeignKey("agents.id", ondelete="CASCADE"))
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    status: Mapped[str] = mapped_column(String(16), default="running")
    outcome: Mapped[str | None] = mapped_column(String(32))
    input: Mapped[str] = mapped_column(Text)
    output: Mapped[str | None] = mapped_column(Text)
    model: Mapped[str | None] = mapped_column(String(200))
    error_code: Mapped[str | None] = mapped_column(String(64))
    error_message: Mapped[str | None] = mapped_column(Text)
    input_tokens: Mapped[int | None]
    output_tokens: Mapped[int | None]
    finished_at: Mapped[datetime | None]

    steps: Mapped[list[ExecutionStep]] = relationship(order_by=ExecutionStep.seq)
