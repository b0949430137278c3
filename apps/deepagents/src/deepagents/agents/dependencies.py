"""Agents as dependencies of routes."""

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Request

from deepagents.toolbox import Tools
from mainspring.accounts import CurrentUser
from mainspring.data import AsyncReadSession, ReadSession, WriteSession
from mainspring.errors import NotFound
from mainspring.kernel import Clock, Registry

from .models import Agent
from .service import AgentService
from .store import AgentStore


async def find_agent(session: AsyncReadSession, agent_id: UUID, owner: UUID) -> Agent:
    """An agent of this owner.

    Raises:
        NotFound: There is none; another owner's agent is none, so that nobody learns which ids exist.
    """
    agent = await AgentStore(session, owner).get(agent_id)
    if agent is None:
        raise NotFound("There is no agent with this id.")
    return agent


async def _own_agent(agent_id: UUID, user: CurrentUser, session: ReadSession) -> Agent:
    return await find_agent(session, agent_id, user.id)


async def _changing_agent(agent_id: UUID, user: CurrentUser, session: WriteSession) -> Agent:
    return await find_agent(session, agent_id, user.id)


def _agents(request: Request, session: WriteSession, tools: Tools) -> AgentService:
    registry: Registry = request.app.state.registry
    return AgentService(session, tools=tools, clock=registry.get(Clock))


OwnAgent = Annotated[Agent, Depends(_own_agent)]
"""The agent in the path, if it is the signed-in user's; 404 otherwise."""

ChangingAgent = Annotated[Agent, Depends(_changing_agent)]
"""The same, loaded within the unit of work that is going to change it."""

Agents = Annotated[AgentService, Depends(_agents)]
"""The service, within the request's unit of work."""
