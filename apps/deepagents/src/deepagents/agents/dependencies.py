"""Agents as dependencies of routes."""

from typing import Annotated
from uuid import UUID

from fastapi import Depends

from deepagents.toolbox import Tools
from mainspring.accounts import CurrentUser
from mainspring.data import AsyncReadSession, PageQuery, ReadSession, WriteSession

from .models import Agent
from .service import AgentService
from .store import AGENTS, AgentStore


async def find_agent(session: AsyncReadSession, agent_id: UUID, owner: UUID) -> Agent:
    """An agent of this owner.

    Raises:
        NotFound: There is none; another owner's agent is none, so that nobody learns which ids exist.
    """
    return await AgentStore(session, owner).get(agent_id)


async def _own_agent(agent_id: UUID, user: CurrentUser, session: ReadSession) -> Agent:
    return await find_agent(session, agent_id, user.id)


async def _changing_agent(agent_id: UUID, user: CurrentUser, session: WriteSession) -> Agent:
    return await find_agent(session, agent_id, user.id)


def _agents(user: CurrentUser, session: WriteSession, tools: Tools) -> AgentService:
    return AgentService(AgentStore(session, user.id), owner=user.id, tools=tools)


OwnAgent = Annotated[Agent, Depends(_own_agent)]
"""The agent in the path, if it is the signed-in user's; 404 otherwise."""

ChangingAgent = Annotated[Agent, Depends(_changing_agent)]
"""The same, loaded within the unit of work that is going to change it."""

Agents = Annotated[AgentService, Depends(_agents)]
"""The service, within the request's unit of work."""

AgentQuery = Annotated[PageQuery[Agent], Depends(AGENTS.by_page)]
"""Which agents a client wants to see."""
