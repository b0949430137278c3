"""Executions in SQL."""

from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import selectinload

from mainspring.data import AsyncReadSession

from .models import Execution


class ExecutionStore:
    """Reads executions of one owner.

    Args:
        session: Of the caller.
        owner: Whose executions exist as far as this store is concerned.
    """

    def __init__(self, session: AsyncReadSession, owner: UUID) -> None:
        self._session = session
        self._owner = owner

    async def get(self, execution_id: UUID) -> Execution | None:
        """One execution with its trace."""
        statement = select(Execution).where(Execution.id == execution_id, Execution.user_id == self._owner)
        return await self._session.scalar(statement.options(selectinload(Execution.steps)))

    async def page(self, agent_id: UUID, *, offset: int, limit: int) -> tuple[list[Execution], int]:
        """A page of an agent's executions, newest first, and how many there are."""
        of_agent = select(Execution).where(Execution.agent_id == agent_id, Execution.user_id == self._owner)
        total = await self._session.scalar(of_agent.with_only_columns(func.count())) or 0
        newest = of_agent.order_by(Execution.created_at.desc(), Execution.id.desc()).offset(offset).limit(limit)
        return list(await self._session.scalars(newest)), total
