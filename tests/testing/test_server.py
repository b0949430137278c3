"""A served application: on a real socket, draining, and honest about why it does not start."""

import asyncio
import threading
from contextlib import asynccontextmanager

import pytest
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from httpx2 import AsyncClient, ConnectError

from mainspring.testing import serving


def test_it_runs_in_a_thread_of_its_own_and_ends_its_lifespan():
    threads = []

    @asynccontextmanager
    async def lifespan(app):
        threads.append(threading.current_thread())
        yield
        threads.append(threading.current_thread())

    with serving(FastAPI(lifespan=lifespan)):
        assert len(threads) == 1
    assert threads[0] is threads[1] is not threading.current_thread()
    assert not threads[0].is_alive()


def test_what_keeps_it_from_starting_is_raised_as_it_is():
    @asynccontextmanager
    async def lifespan(app):
        raise LookupError("no such thing")
        yield

    with pytest.raises(LookupError, match="no such thing"), serving(FastAPI(lifespan=lifespan)):
        raise AssertionError("it has started")


async def test_requests_in_flight_are_answered_before_it_ends():
    app = FastAPI()
    entered = threading.Event()

    @app.get("/slow")
    async def slow() -> str:
        entered.set()
        await asyncio.sleep(0.2)
        return "done"

    async with AsyncClient() as client:
        with serving(app) as server:
            request = asyncio.create_task(client.get(f"{server.url}/slow"))
            assert await asyncio.to_thread(entered.wait, 5)
            url = server.url
        assert (await request).json() == "done"
        with pytest.raises(ConnectError):
            await client.get(url)


async def test_a_body_arrives_in_pieces_as_it_is_made():
    app = FastAPI()
    go_on = threading.Event()

    @app.get("/lines")
    async def lines() -> StreamingResponse:
        async def pieces():
            yield b"first\n"
            await asyncio.to_thread(go_on.wait, 5)
            yield b"second\n"

        return StreamingResponse(pieces())

    with serving(app) as server:
        async with AsyncClient() as client, client.stream("GET", f"{server.url}/lines") as answer:
            received = answer.aiter_lines()
            assert await anext(received) == "first"
            go_on.set()
            assert await anext(received) == "second"


async def test_two_servers_run_side_by_side():
    with serving(FastAPI()) as one, serving(FastAPI()) as two:
        assert one.port != two.port
        async with AsyncClient() as client:
            for server in (one, two):
                assert (await client.get(f"{server.url}/openapi.json")).status_code == 200
