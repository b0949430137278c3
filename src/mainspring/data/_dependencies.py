"""Sessions as dependencies of routes."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Annotated

from fastapi import Depends
from fastapi.requests import HTTPConnection

from mainspring.kernel import Registry

from ._database import Database
from ._session import AsyncReadSession, AsyncWriteSession

ANSWER_KEY = "mainspring.answer"
"""Where in the ASGI scope stands what commits a unit of work together with its answer, if anything does."""


def database_of(connection: HTTPConnection) -> Database:
    """The database of the application that serves a request or WebSocket."""
    registry: Registry = connection.app.state.registry
    return registry.get(Database)


async def _read_session(connection: HTTPConnection) -> AsyncReadSession:
    reading = database_of(connection).read()
    # Where FastAPI puts the end of a generator with `scope="function"`; to be one would cost as much as the read.
    ends: AsyncExitStack = connection.scope["fastapi_function_astack"]
    ends.push_async_exit(reading)
    return reading.open()


async def _write_session(connection: HTTPConnection) -> AsyncIterator[AsyncWriteSession]:
    unit = database_of(connection).write()
    session = await unit.__aenter__()
    try:
        yield session
    except BaseException as error:
        # As `async with` would; written out, because below the unit of work may outlive this dependency.
        if not await unit.__aexit__(type(error), error, error.__traceback__):
            raise
    else:
        waiting = connection.scope.get(ANSWER_KEY)
        if waiting is None or not waiting.hand_over(session, unit):
            await unit.__aexit__(None, None, None)


ReadSession = Annotated[AsyncReadSession, Depends(_read_session)]
"""Reads for one request, until its handler has returned. The same session wherever the request's dependencies ask for
it.
"""

WriteSession = Annotated[AsyncWriteSession, Depends(_write_session, scope="function")]
"""The unit of work of one request: committed before the response starts, rolled back on any error.

`scope="function"` is what makes the promise hold: with FastAPI's default the exit code, and so the commit, runs after
the response was sent, and a failed commit would follow a 201.

The trap: an error that is returned instead of raised (`return JSONResponse(status_code=409)`) is an answer like any other
to this dependency, and what was stored before it stays. Raise errors.
"""
