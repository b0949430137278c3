"""Agents in SQL. Deleted agents are not found by anything here."""

from uuid import UUID

from sqlalchemy import ColumnElement, Select, func, or_, select
from sqlalchemy.orm import selectinload

from mainspring.data import AsyncReadSession, AsyncWriteSession

from .models import Agent


class AgentStore:
    """Reads agents of one owner.

    Args:
        session: Of the caller's unit of work.
        owner: Whose agents exist as far as this store is concerned.
    """

    def __init__(self, session: AsyncReadSession, owner: UUID) -> None:
        self._session = session
        self._owner = owner

    async def get(self, agent_id: UUID) -> Agent | None:
        """One agent with its tools."""
        statement = self._own(select(Agent)).where(Agent.id == agent_id).options(selectinload(Agent.given_tools))
        return await self._session.scalar(statement)

    async def page(self, *, search: str | None, offset: int, limit: int) -> tuple[list[Agent], int]:
        """A page of agents, newest first, and how many there are over all pages."""
        matching = self._own(select(Agent))
        if search:
            matching = matching.where(_matches(search))
        total = await self._session.scalar(matching.with_only_columns(func.count()).order_by(None)) or 0
        # Ids grow with time, so they also decide between agents of the same moment.
        newest = matching.order_by(Agent.created_at.desc(), Agent.id.desc()).offset(offset).limit(limit)
        agents = await self._session.scalars(newest.options(selectinload(Agent.given_tools)))
        return list(agents), total

    def _own(self, statement: Select[Agent]) -> Select[Agent]:
        return statement.where(Agent.user_id == self._owner, Agent.deleted_at.is_(None))


async def stored(session: AsyncWriteSession, agent: Agent) -> Agent:
    """Flush an agent and read back what the database filled in."""
    session.add(agent)
    await session.flush()
    await session.refresh(agent, ["created_at", "updated_at", "given_tools"])
    return agent


def _matches(search: str) -> ColumnElement[bool]:
    # `autoescape`: a % or _ in what a person types is that character, not a wildcard.
    return or_(Agent.name.icontains(search, autoescape=True), Agent.description.icontains(search, autoescape=True))
