"""Agents in SQL, and how their list may be asked for."""

from collections.abc import Sequence
from typing import ClassVar
from uuid import UUID

from sqlalchemy.orm import selectinload
from sqlalchemy.orm.interfaces import ORMOption

from mainspring.data import AsyncReadSession, Filter, Listing, Store

from .models import Agent

AGENTS = Listing(
    Agent,
    filters=[
        Filter(Agent.is_active),
        Filter(Agent.model_name, ("eq", "in")),
        Filter(Agent.created_at, ("gte", "lt")),
        Filter(Agent.updated_at, ("gte", "lt")),
    ],
    sorts=[Agent.created_at, Agent.updated_at, Agent.name],
    default="-created_at",
    search=[Agent.name, Agent.description],
)
"""An owner has hundreds of agents, not millions: no index beyond the owner's."""


class AgentStore(Store[Agent]):
    """Agents of one owner, with their tools.

    Args:
        session: Of the caller's unit of work.
        owner: Whose agents exist as far as this store is concerned.
    """

    loads: ClassVar[Sequence[ORMOption]] = (selectinload(Agent.given_tools),)

    def __init__(self, session: AsyncReadSession, owner: UUID) -> None:
        super().__init__(Agent, session, only={"user_id": owner})
