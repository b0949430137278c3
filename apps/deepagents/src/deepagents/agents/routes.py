"""Agents over HTTP."""

from typing import Any
from uuid import UUID

from fastapi import APIRouter, status

from mainspring.accounts import CurrentUser, idempotent_per_user
from mainspring.data import NumberedSlice, ReadSession
from mainspring.errors import NotFound
from mainspring.http import IfMatch, IfNoneMatch, Page

from .dependencies import AgentQuery, Agents, ChangingAgent, OwnAgent
from .models import Agent
from .schemas import AgentCreate, AgentOut, AgentSummary, AgentUpdate
from .store import AgentStore

type _Responses = dict[int | str, dict[str, Any]]

_MISSING: _Responses = {404: {"description": "There is no such agent, or it is somebody else's."}}
_CHANGED: _Responses = {412: {"description": "It is not what `If-Match` says any more."}}
_SAME: _Responses = {304: {"description": "It is what `If-None-Match` says."}}
_TAKEN: _Responses = {409: {"description": "The owner has an agent of this name."}}

router = APIRouter(tags=["agents"], responses={401: {"description": "Not signed in."}})


@router.post(
    "/agents",
    status_code=status.HTTP_201_CREATED,
    response_model=AgentOut,
    responses=_TAKEN,
    dependencies=[idempotent_per_user],
)
async def create_agent(new: AgentCreate, agents: Agents) -> Agent:
    """Make an agent."""
    return await agents.create(new)


@router.get("/agents", response_model=Page[AgentOut])
async def list_agents(query: AgentQuery, user: CurrentUser, session: ReadSession) -> NumberedSlice[Agent]:
    """The signed-in user's agents, newest first."""
    return await AgentStore(session, user.id).page(query)


@router.get(
    "/users/{user_id}/agents",
    response_model=Page[AgentOut],
    responses={404: {"description": "Not you, and you are no administrator."}},
)
async def list_agents_of_user(
    user_id: UUID, query: AgentQuery, user: CurrentUser, session: ReadSession
) -> NumberedSlice[Agent]:
    """A user's agents: your own, or anybody's for an administrator."""
    if user_id != user.id and not user.is_superuser:
        raise NotFound("There is no user with this id, or it is not you.")
    return await AgentStore(session, user_id).page(query)


@router.get("/agents/{agent_id}", response_model=AgentOut, responses=_MISSING | _SAME)
async def get_agent(agent: OwnAgent, if_none_match: IfNoneMatch) -> Agent:
    """One agent."""
    if_none_match.check(agent)
    return agent


@router.get("/agents/{agent_id}/summary", response_model=AgentSummary, responses=_MISSING)
async def get_agent_summary(agent: OwnAgent) -> Agent:
    """Id and name of one agent."""
    return agent


@router.patch("/agents/{agent_id}", response_model=AgentOut, responses=_MISSING | _TAKEN | _CHANGED)
async def update_agent(changes: AgentUpdate, agent: ChangingAgent, agents: Agents, if_match: IfMatch) -> Agent:
    """Change an agent; fields that are left out stay as they are."""
    if_match.check(agent)
    changed = await agents.update(agent, changes)
    if_match.tag(changed)
    return changed


@router.delete("/agents/{agent_id}", status_code=status.HTTP_204_NO_CONTENT, responses=_MISSING | _CHANGED)
async def delete_agent(agent: ChangingAgent, agents: Agents, if_match: IfMatch) -> None:
    """Delete an agent."""
    if_match.check(agent)
    await agents.delete(agent)
