"""Agents and the tools they were given."""

from typing import Any
from uuid import UUID

from sqlalchemy import JSON, CheckConstraint, ForeignKey, Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from mainspring.data import Audited, Base, Identified, SoftDeleted, Timestamped, Versioned, relationship

_NOT_DELETED = text("deleted_at IS NULL")


class AgentTool(Audited, Base):
    """One tool that one agent may call, by the tool's name: tools are code, not rows."""

    __tablename__ = "agent_tools"

    agent_id: Mapped[UUID] = mapped_column(ForeignKey("agents.id", ondelete="CASCADE"), primary_key=True)
    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    position: Mapped[int]


class Agent(Audited, Identified, Timestamped, SoftDeleted, Versioned, Base):
    """A model with a prompt, tools and an owner."""

    __tablename__ = "agents"
    __table_args__ = (
        # A name is free again once its agent was deleted.
        Index(
            "uq_agents_user_id_name",
            "user_id",
            "name",
            unique=True,
            postgresql_where=_NOT_DELETED,
            sqlite_where=_NOT_DELETED,
        ),
        CheckConstraint("max_tokens BETWEEN 100 AND 100000", name="max_tokens_in_range"),
    )

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    name: Mapped[str] = mapped_column(String(100))
    description: Mapped[str | None] = mapped_column(Text)
    model_name: Mapped[str] = mapped_column(String(100))
    system_prompt: Mapped[str] = mapped_column(Text)
    max_tokens: Mapped[int] = mapped_column(default=1000)
    config: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    is_active: Mapped[bool] = mapped_column(default=True)

    given_tools: Mapped[list[AgentTool]] = relationship(cascade="all, delete-orphan", order_by=AgentTool.position)

    @property
    def tools(self) -> list[str]:
        """Names of the tools, in the order they were given."""
        return [tool.name for tool in self.given_tools]
