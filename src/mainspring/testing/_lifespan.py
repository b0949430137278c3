"""Runs an application's lifespan the way servers do, and listens to what its requests do."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send

from mainspring.http import exchange_of


@asynccontextmanager
async def running(app: Starlette, *, errors: list[BaseException] | None = None) -> AsyncIterator[ASGIApp]:
    """Start an application and stop it at the end of the block; yields the callable that serves its requests.

    The lifespan runs in one task of its own, as under a server: fixtures enter and leave in different tasks, which task
    groups and timeouts inside a lifespan do not survive.

    Args:
        app: The application.
        errors: Takes the exceptions that no handler took. The service answers them with a 500 and a log line, so a
            test sees neither type nor traceback otherwise.

    Raises:
        Exception: Whatever keeps the application from starting or stopping, unchanged.
    """
    started: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
    stop = asyncio.Event()
    task = asyncio.create_task(_live(app, started, stop), name="lifespan")
    try:
        # Shielded: when the test gives up waiting, what has begun to start is still brought down in good order.
        state = await asyncio.shield(started)
        yield _serving(app, state, [] if errors is None else errors)
    finally:
        stop.set()
        await task


async def _live(app: Starlette, started: asyncio.Future[dict[str, Any]], stop: asyncio.Event) -> None:
    try:
        async with app.router.lifespan_context(app) as state:
            started.set_result(dict(state or {}))
            await stop.wait()
    except BaseException as error:
        if started.done():
            raise
        started.set_exception(error)


def _serving(app: ASGIApp, state: dict[str, Any], errors: list[BaseException]) -> ASGIApp:
    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"] = dict(state)
        try:
            await app(scope, receive, send)
        finally:
            exchange = exchange_of(scope)
            if exchange is not None and exchange.error is not None:
                errors.append(exchange.error)

    return serve
