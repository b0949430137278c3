"""HTTP spoken over a socket of its own per request, by a client that may leave at any moment."""

import asyncio
import json
import socket
import struct
from dataclasses import dataclass
from typing import Any

_PATIENCE_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Answer:
    """What a client was told, whole.

    Attributes:
        status: Of the response.
        headers: By lower-case name.
        body: As it came.
    """

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def ok(self) -> bool:
        """Whether it promises an effect."""
        return 200 <= self.status < 300

    @property
    def replayed(self) -> bool:
        """Whether it says that the effect had happened before."""
        return "idempotency-replayed" in self.headers

    def json(self) -> Any:
        """The body, parsed."""
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Leaving:
    """How a client goes away before it has its answer.

    Attributes:
        part: The share of the request that it sends.
        seconds: How long it waits then.
        reset: With a RST where others say goodbye.
    """

    part: float
    seconds: float
    reset: bool


def request(method: str, path: str, body: Any = None, **headers: str) -> bytes:
    """A request on the wire. Underscores in the names of headers become hyphens."""
    content = b"" if body is None else json.dumps(body).encode()
    lines = [f"{method} /api/v1{path} HTTP/1.1", "Host: chaos", "Connection: close", f"Content-Length: {len(content)}"]
    if content:
        lines.append("Content-Type: application/json")
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + content


async def ask(port: int, message: bytes, leaving: Leaving | None = None) -> Answer | None:
    """Send a request to a process of this machine; None where no whole answer came, or nobody waited for it."""
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                if leaving is None:
                    writer.write(message)
                    return await _read(reader)
                writer.write(message[: max(1, int(len(message) * leaving.part))])
                await asyncio.sleep(leaving.seconds)
                if leaving.reset:
                    linger = struct.pack("ii", 1, 0)
                    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                return None
            finally:
                writer.transport.abort()
    except (OSError, EOFError, TimeoutError):
        return None


async def _read(reader: asyncio.StreamReader) -> Answer:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    fields = (line.partition(":") for line in head[1:-2])
    headers = {name.lower(): value.strip() for name, _, value in fields}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Answer(int(head[0].split()[1]), headers, body)
