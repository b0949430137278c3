"""Executions over HTTP."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Request, status
from fastapi.sse import EventSourceResponse, ServerSentEvent

from deepagents.agents import OwnAgent
from mainspring.accounts import CurrentUser
from mainspring.ai import RunEvent
from mainspring.data import Database, ReadSession, database_of
from mainspring.errors import NotFound
from mainspring.http import Page, PageParams
from mainspring.kernel import Registry

from .models import Execution
from .schemas import ExecutionCreate, ExecutionDetail, ExecutionOut
from .service import ExecutionService
from .store import ExecutionStore
from .stream import as_sse

type _Responses = dict[int | str, dict[str, Any]]

_MISSING: _Responses = {404: {"description": "There is no such thing, or it is somebody else's."}}
_OFF: _Responses = {409: {"description": "The agent is switched off."}}

router = APIRouter(tags=["executions"], responses={401: {"description": "Not signed in."}, **_MISSING})


def _executions_of(request: Request) -> ExecutionService:
    registry: Registry = request.app.state.registry
    return registry.get(ExecutionService)


Executions = Annotated[ExecutionService, Depends(_executions_of)]


async def _started(message: ExecutionCreate, agent: OwnAgent, executions: Executions) -> Execution:
    # In a dependency, so that it is done before the stream's 200 is on the wire: a refusal must still be an error.
    return await executions.start(agent, message.input)


Started = Annotated[Execution, Depends(_started)]


async def _found(database: Database, owner: UUID, execution_id: UUID) -> Execution:
    async with database.read() as session:
        execution = await ExecutionStore(session, owner).get(execution_id)
    if execution is None:
        raise NotFound("There is no execution with this id.")
    return execution


@router.post("/agents/{agent_id}/executions", status_code=status.HTTP_201_CREATED, responses=_OFF)
async def execute_agent(
    agent: OwnAgent, execution: Started, executions: Executions, request: Request
) -> ExecutionDetail:
    """Send a message and wait for the whole answer."""
    await executions.complete(execution, agent)
    return executions.describe_whole(await _found(database_of(request), agent.user_id, execution.id))


async def _live_run(
    agent: OwnAgent, execution: Started, executions: Executions
) -> AsyncIterator[AsyncGenerator[RunEvent]]:
    # Closed by the request and not by whoever reads it: when the client goes away in the middle of an event, the
    # framework forgets the generator that was reading, and the run would go on until the garbage collector came by.
    async with aclosing(executions.run(execution, agent)) as events:
        yield events


LiveRun = Annotated[AsyncGenerator[RunEvent], Depends(_live_run)]


@router.post("/agents/{agent_id}/executions/stream", response_class=EventSourceResponse, responses=_OFF)
async def stream_agent(execution: Started, events: LiveRun) -> AsyncIterator[ServerSentEvent]:
    """Send a message and follow the run: steps, tool calls and text as they happen."""
    async for event in as_sse(execution.id, events):
        yield event


@router.get("/agents/{agent_id}/executions")
async def list_executions(
    agent: OwnAgent, session: ReadSession, executions: Executions, params: PageParams
) -> Page[ExecutionOut]:
    """An agent's executions, newest first."""
    store = ExecutionStore(session, agent.user_id)
    found, total = await store.page(agent.id, offset=params.offset, limit=params.page_size)
    return Page.of([executions.describe(execution) for execution in found], total=total, params=params)


@router.get("/executions/{execution_id}")
async def get_execution(
    execution_id: UUID, user: CurrentUser, executions: Executions, request: Request
) -> ExecutionDetail:
    """One execution with its whole trace."""
    return executions.describe_whole(await _found(database_of(request), user.id, execution_id))
