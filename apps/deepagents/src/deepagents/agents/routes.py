"""Agents over HTTP."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, status

from mainspring.accounts import CurrentUser
from mainspring.data import ReadSession
from mainspring.errors import NotFound
from mainspring.http import Page, PageParams, Text

from .dependencies import Agents, ChangingAgent, OwnAgent
from .models import Agent
from .schemas import AgentCreate, AgentOut, AgentSummary, AgentUpdate
from .store import AgentStore

type _Responses = dict[int | str, dict[str, Any]]

_MISSING: _Responses = {404: {"description": "There is no such agent, or it is somebody else's."}}
_TAKEN: _Responses = {409: {"description": "The owner has an agent of this name."}}

router = APIRouter(tags=["agents"], responses={401: {"description": "Not signed in."}})

type _Search = Annotated[Text | None, Query(max_length=200, description="Part of the name or description.")]


async def _page_of(session: ReadSession, owner: UUID, params: PageParams, search: str | None) -> Page[AgentOut]:
    found, total = await AgentStore(session, owner).page(search=search, offset=params.offset, limit=params.page_size)
    return Page.of([AgentOut.model_validate(agent) for agent in found], total=total, params=params)


@router.post("/agents", status_code=status.HTTP_201_CREATED, response_model=AgentOut, responses=_TAKEN)
async def create_agent(new: AgentCreate, user: CurrentUser, agents: Agents) -> Agent:
    """Make an agent."""
    return await agents.create(new, owner=user.id)


@router.get("/agents")
async def list_agents(
    user: CurrentUser, session: ReadSession, params: PageParams, search: _Search = None
) -> Page[AgentOut]:
    """The signed-in user's agents, newest first."""
    return await _page_of(session, user.id, params, search)


@router.get("/users/{user_id}/agents", responses={404: {"description": "Not you, and you are no administrator."}})
async def list_agents_of_user(
    user_id: UUID, user: CurrentUser, session: ReadSession, params: PageParams
) -> Page[AgentOut]:
    """A user's agents: your own, or anybody's for an administrator."""
    if user_id != user.id and not user.is_superuser:
        raise NotFound("There is no user with this id, or it is not you.")
    return await _page_of(session, user_id, params, None)


@router.get("/agents/{agent_id}", response_model=AgentOut, responses=_MISSING)
async def get_agent(agent: OwnAgent) -> Agent:
    """One agent."""
    return agent


@router.get("/agents/{agent_id}/summary", response_model=AgentSummary, responses=_MISSING)
async def get_agent_summary(agent: OwnAgent) -> Agent:
    """Id and name of one agent."""
    return agent


@router.patch("/agents/{agent_id}", response_model=AgentOut, responses=_MISSING | _TAKEN)
async def update_agent(changes: AgentUpdate, agent: ChangingAgent, agents: Agents) -> Agent:
    """Change an agent; fields that are left out stay as they are."""
    return await agents.update(agent, changes)


@router.delete("/agents/{agent_id}", status_code=status.HTTP_204_NO_CONTENT, responses=_MISSING)
async def delete_agent(agent: ChangingAgent, agents: Agents) -> None:
    """Delete an agent."""
    await agents.delete(agent)
