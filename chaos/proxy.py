"""A proxy between the service and PostgreSQL that cuts connections, also between a COMMIT and its answer."""

import asyncio
from contextlib import suppress
from random import Random
from typing import Self
from urllib.parse import urlsplit

_CHUNK = 65536


class Proxy:
    """Forwards until it is told to cut.

    Args:
        url: Of the database.

    Attributes:
        loss: The share of COMMITs whose connection is cut, half of them before the server sees the COMMIT and half of
            them when it has answered.
        cuts: Connections that were cut.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._target = (parts.hostname or "127.0.0.1", parts.port or 5432)
        self._parts = parts
        self._links: set[_Link] = set()
        self.chance = Random(0)
        self.loss = 0.0
        self.cuts = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._forward, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.cut(1.0)

    @property
    def url(self) -> str:
        """The database, by way of the proxy."""
        user = f"{self._parts.username or 'postgres'}" + (f":{self._parts.password}" if self._parts.password else "")
        port = self._server.sockets[0].getsockname()[1]
        return self._parts._replace(netloc=f"{user}@127.0.0.1:{port}").geturl()

    def cut(self, share: float) -> None:
        """Cut a share of the open connections, whatever is under way on them."""
        for link in list(self._links):
            if self.chance.random() < share:
                self.cuts += 1
                link.cut()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            upstream = await asyncio.open_connection(*self._target)
        except OSError:
            writer.transport.abort()
            return
        link = _Link(self, writer, upstream[1])
        self._links.add(link)
        # Whoever ends first ends the other: half a connection is of use to nobody here.
        pumps = [asyncio.create_task(link.to_server(reader)), asyncio.create_task(link.to_client(upstream[0]))]
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        link.cut()
        await asyncio.wait(pumps)
        self._links.discard(link)


class _Link:
    def __init__(self, proxy: Proxy, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self._proxy = proxy
        self._client = client
        self._server = server
        self._swallow = False

    def cut(self) -> None:
        self._client.transport.abort()
        self._server.transport.abort()

    async def to_server(self, reader: asyncio.StreamReader) -> None:
        with suppress(OSError):
            while data := await reader.read(_CHUNK):
                if b"COMMIT" in data and self._proxy.chance.random() < self._proxy.loss:
                    self._proxy.cuts += 1
                    if self._proxy.chance.random() < 0.5:
                        return
                    self._swallow = True
                self._server.write(data)
                await self._server.drain()

    async def to_client(self, reader: asyncio.StreamReader) -> None:
        with suppress(OSError):
            while data := await reader.read(_CHUNK):
                if self._swallow:
                    return
                self._client.write(data)
                await self._client.drain()
