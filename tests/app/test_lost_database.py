"""A database that is lost under a running service, and comes back: what readiness says of it."""

import asyncio
import time
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit, urlunsplit

import httpx2
import pytest
from sqlalchemy import text

from mainspring.app import create_app
from mainspring.data import Database
from mainspring.settings import Settings

pytestmark = pytest.mark.databases("postgresql")

PING_SECONDS = 2.0


class Proxy:
    """Passes bytes on between the service and its database, until it is told to go dead.

    Attributes:
        dead: While set, nothing passes, in neither direction, and no connection is closed: a cable that was cut.
    """

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._alive = asyncio.Event()
        self._alive.set()
        self._writers: list[asyncio.StreamWriter] = []

    @asynccontextmanager
    async def running(self):
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        try:
            yield self._server.sockets[0].getsockname()[1]
        finally:
            self._alive.set()
            self._server.close()
            for writer in self._writers:
                writer.close()

    def die(self):
        self._alive.clear()

    def live(self):
        self._alive.set()

    async def _accept(self, reader, writer):
        there, back = await asyncio.open_connection(*self._target)
        self._writers += [writer, back]
        await asyncio.gather(self._pass(reader, back), self._pass(there, writer))

    async def _pass(self, reader, writer):
        with suppress(OSError):
            while data := await reader.read(65536):
                await self._alive.wait()
                writer.write(data)
                await writer.drain()
        writer.close()


@asynccontextmanager
async def client_of(url):
    app = create_app("shop", settings=Settings(environment="test", database_url=url))
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://testserver") as client,
    ):
        yield app, client


async def until(client, status, seconds):
    """Asks as a probe does; how long it took until the answer was this."""
    began = time.monotonic()
    async with asyncio.timeout(seconds):
        while (answer := await client.get("/health/ready")).status_code != status:
            await asyncio.sleep(0.05)
    return time.monotonic() - began, answer


async def test_a_network_that_goes_dead_is_noticed_within_the_timeout_and_so_is_its_return(database_url):
    parts = urlsplit(database_url)
    proxy = Proxy(parts.hostname or "127.0.0.1", parts.port or 5432)
    async with proxy.running() as port:
        people, _, _ = parts.netloc.rpartition("@")
        through = parts._replace(netloc=f"{people}@127.0.0.1:{port}" if people else f"127.0.0.1:{port}")
        async with client_of(urlunsplit(through)) as (_, client):
            assert (await client.get("/health/ready")).status_code == 200
            proxy.die()
            took, answer = await until(client, 503, 10)
            # A service whose database is silent still says quickly that it is alive.
            began = time.monotonic()
            live = await client.get("/health/live")
            alive_after = time.monotonic() - began
            proxy.live()
            _, back = await until(client, 200, 15)

    # The kept answer of at most a second, and then the ping's own bound.
    assert took < 1 + PING_SECONDS + 1
    assert answer.json() == {"status": "not_ready", "checks": {"database": "down"}}
    assert (live.status_code, alive_after < 0.5) == (200, True)
    assert back.json() == {"status": "ready", "checks": {"database": "up"}}


async def test_connections_that_the_server_has_ended_are_replaced(database_url):
    async with client_of(database_url) as (app, client):
        database = app.registry.get(Database)
        async with database.read() as session:
            pid = (await session.execute(text("SELECT pg_backend_pid()"))).scalar()
        other = Database.connect(database_url)
        try:
            async with other.write() as session:
                await session.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})
        finally:
            await other.close()

        _, answer = await until(client, 200, 10)

        assert answer.json() == {"status": "ready", "checks": {"database": "up"}}
        async with database.read() as session:
            assert (await session.execute(text("SELECT pg_backend_pid()"))).scalar() != pid
