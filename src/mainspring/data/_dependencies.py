"""Sessions as dependencies of routes."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Annotated

from fastapi import Depends
from fastapi.requests import HTTPConnection

from mainspring.http import exchange_of
from mainspring.kernel import Registry

from ._database import Database, Isolation
from ._session import AsyncReadSession, AsyncWriteSession
from ._sticky import ReadYourWrites
from ._unit_of_work import UnitOfWork

ANSWER_KEY = "mainspring.answer"
"""Where in the ASGI scope stands what commits a unit of work together with its answer, if anything does."""


def database_of(connection: HTTPConnection) -> Database:
    """The database of the application that serves a request or WebSocket."""
    registry: Registry = connection.app.state.registry
    return registry.get(Database)


async def _read_session(connection: HTTPConnection) -> AsyncReadSession:
    sticky: ReadYourWrites | None = getattr(connection.app.state, "read_your_writes", None)
    return _read(connection, fresh=sticky is not None and sticky.wants_fresh(connection))


async def _fresh_read_session(connection: HTTPConnection) -> AsyncReadSession:
    return _read(connection, fresh=True)


def _read(connection: HTTPConnection, *, fresh: bool) -> AsyncReadSession:
    reading = database_of(connection).read(fresh=fresh)
    # Where FastAPI puts the end of a generator with `scope="function"`; to be one would cost as much as the read.
    ends: AsyncExitStack = connection.scope["fastapi_function_astack"]
    ends.push_async_exit(reading)
    return reading.open()


def _writing(isolation: Isolation | None) -> Callable[[HTTPConnection], AsyncIterator[AsyncWriteSession]]:
    async def unit_of_work(connection: HTTPConnection) -> AsyncIterator[AsyncWriteSession]:
        unit = database_of(connection).write(isolation=isolation)
        session = unit.open()
        try:
            yield session
        except BaseException as error:
            await unit.__aexit__(type(error), error, error.__traceback__)
            raise
        await _end(connection, unit, session)

    return unit_of_work


async def _end(connection: HTTPConnection, unit: UnitOfWork, session: AsyncWriteSession) -> None:
    """Commit, or leave it to what commits the answer along with it."""
    waiting = connection.scope.get(ANSWER_KEY)
    if waiting is None or not waiting.hand_over(session, unit):
        await unit.__aexit__(None, None, None)
    exchange = exchange_of(connection.scope)
    if exchange is not None:
        exchange.wrote = True


ReadSession = Annotated[AsyncReadSession, Depends(_read_session)]
"""Reads for one request, until its handler has returned. The same session wherever the request's dependencies ask for
it.
"""

FreshReadSession = Annotated[AsyncReadSession, Depends(_fresh_read_session)]
"""A `ReadSession` that never reads from a replica: what has been committed, it sees."""

WriteSession = Annotated[AsyncWriteSession, Depends(_writing(None), scope="function")]
"""The unit of work of one request: committed before the response starts, rolled back on any error.

`scope="function"` is what makes the promise hold: with FastAPI's default the exit code, and so the commit, runs after
the response was sent, and a failed commit would follow a 201.

The trap: an error that is returned instead of raised (`return JSONResponse(status_code=409)`) is an answer like any other
to this dependency, and what was stored before it stays. Raise errors.
"""

SerializableSession = Annotated[AsyncWriteSession, Depends(_writing("SERIALIZABLE"), scope="function")]
"""A `WriteSession` whose work comes out as if no other ran beside it: SERIALIZABLE on PostgreSQL, where a conflict is 409;
with `dependencies=[retried()]` the route is run again instead. `Audited` rows cannot be changed in it.
"""
