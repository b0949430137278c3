"""The lifespan runs as under a server: once, in one task, with its failures told."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from fastapi import FastAPI, Request
from httpx2 import ASGITransport, AsyncClient

from mainspring.testing import running


def app_with(lifespan) -> FastAPI:
    app = FastAPI(lifespan=lifespan)

    @app.get("/state")
    async def state(request: Request) -> str:
        request.state.word += "!"
        return request.state.word

    return app


async def test_what_the_lifespan_yields_is_the_state_of_each_request():
    @asynccontextmanager
    async def lifespan(app):
        yield {"word": "hello"}

    async with running(app_with(lifespan)) as served, AsyncClient(transport=ASGITransport(served)) as client:
        for _ in range(2):
            assert (await client.get("http://testserver/state")).json() == "hello!"


async def test_it_begins_and_ends_in_the_same_task():
    tasks = []

    @asynccontextmanager
    async def lifespan(app):
        async with asyncio.TaskGroup() as group, asyncio.timeout(5):
            tasks.append(asyncio.current_task())
            ticking = group.create_task(asyncio.sleep(60))
            yield
            tasks.append(asyncio.current_task())
            ticking.cancel()

    async with running(app_with(lifespan)):
        assert len(tasks) == 1
    assert tasks[0] is tasks[1] is not asyncio.current_task()


async def test_what_keeps_it_from_starting_is_raised_as_it_is():
    @asynccontextmanager
    async def lifespan(app):
        raise LookupError("no such thing")
        yield

    with pytest.raises(LookupError, match="no such thing"):
        async with running(app_with(lifespan)):
            raise AssertionError("it has started")


async def test_what_keeps_it_from_stopping_is_raised_as_it_is():
    @asynccontextmanager
    async def lifespan(app):
        yield
        raise LookupError("cannot stop")

    with pytest.raises(LookupError, match="cannot stop"):
        async with running(app_with(lifespan)):
            pass


async def test_it_ends_also_when_the_test_fails():
    ended = []

    @asynccontextmanager
    async def lifespan(app):
        yield
        ended.append(True)

    with pytest.raises(ValueError, match="the test"):
        async with running(app_with(lifespan)):
            raise ValueError("the test")
    assert ended == [True]


async def test_a_test_that_gives_up_on_a_slow_start_leaves_nothing_running():
    ended = []

    @asynccontextmanager
    async def lifespan(app):
        await asyncio.sleep(0.1)
        yield
        ended.append(True)

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01), running(app_with(lifespan)):
            raise AssertionError("it has started")
    assert ended == [True]
