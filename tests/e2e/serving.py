"""A shop that is served for production, and clients that notice every request that fails."""

import asyncio
import os
import re
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent

from tests.printing import Printing

from .service import clean_environment

SECONDS = 40

APP = """
    import asyncio, os, time
    from fastapi import APIRouter, BackgroundTasks, WebSocket
    from fastapi.responses import StreamingResponse
    from fastapi.sse import EventSourceResponse, ServerSentEvent
    from mainspring.app import create_app
    from mainspring.kernel import Module, Resource
    from mainspring.observability import get_logger
    from mainspring.settings import Settings

    router = APIRouter()
    GREETING = "hello"

    @router.get("/greeting")
    async def greeting() -> str:
        return GREETING

    @router.get("/log")
    async def log() -> int:
        for size in (10, 2000, 9000):
            get_logger("shop").info("long", text="x" * size)
        return os.getpid()

    @router.get("/pid")
    async def pid() -> int:
        return os.getpid()

    @router.get("/slow")
    async def slow(seconds: float) -> str:
        print("slow began", flush=True)
        await asyncio.sleep(seconds)
        return "done"

    @router.get("/blocked")
    async def blocked() -> str:
        print("blocked began", flush=True)
        time.sleep(60)
        return "done"

    @router.get("/later")
    async def later(tasks: BackgroundTasks) -> str:
        async def work():
            await asyncio.sleep(1)
            print("later done", flush=True)

        tasks.add_task(work)
        return "soon"

    @router.get("/events", response_class=EventSourceResponse)
    async def events():
        try:
            number = 0
            while True:
                number += 1
                yield ServerSentEvent(data=number)
                await asyncio.sleep(0.01)
        finally:
            print("events ended", flush=True)

    @router.get("/torn")
    async def torn():
        # Events that are sent in two halves.
        async def halves():
            while True:
                yield "data: one"
                await asyncio.sleep(0.02)
                yield " whole\\n\\n"
                await asyncio.sleep(0.001)

        return StreamingResponse(halves(), media_type="text/event-stream")

    @router.websocket("/echo")
    async def echo(socket: WebSocket):
        await socket.accept()
        try:
            while True:
                await socket.send_text(await socket.receive_text())
        finally:
            print("echo ended", flush=True)

    @router.websocket("/ticker")
    async def ticker(socket: WebSocket):
        # It only sends.
        await socket.accept()
        try:
            while True:
                await socket.send_text("tick")
                await asyncio.sleep(0.01)
        finally:
            print("ticker ended", flush=True)

    class Till: ...

    async def make(registry):
        return Till()

    async def close(till):
        print("till closed", flush=True)

    def build():
        till = Resource(provides=Till, name="till", make=make, close=close)
        return create_app("shop", settings=Settings(), modules=[Module(name="m", routers=(router,), resources=(till,))])
"""


class Serving(Printing):
    """A running `mainspring serve` in a folder of its own.

    Attributes:
        folder: Where its code and its `.env` are.
    """

    def __init__(self, folder: Path, *arguments: str, command: tuple[str, ...] = (), **environment: str) -> None:
        self.folder = folder
        (folder / "src" / "shop").mkdir(parents=True, exist_ok=True)
        (folder / "pyproject.toml").write_text('[tool.mainspring]\napp = "shop.app:build"\n')
        (folder / "src" / "shop" / "__init__.py").touch()
        if not (folder / "src" / "shop" / "app.py").exists():
            (folder / "src" / "shop" / "app.py").write_text(dedent(APP))
        mainspring = str(Path(sys.executable).parent / "mainspring")
        quick = {"DATABASE_URL": "sqlite:///shop.db", "PYTHONDONTWRITEBYTECODE": "1", "LOG_FORMAT": "json"}
        serve = command or (mainspring, "serve", "--port", "0", *arguments)
        super().__init__(serve, folder, clean_environment(**quick | environment), seconds=SECONDS)

    @property
    def port(self) -> int:
        return int(self.wait_for(r"http://127\.0\.0\.1:(\d+)"))

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def clean_up(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        # Workers notice that their supervisor is gone; they hold the pipe until they have ended.
        self.reader.join(SECONDS)


@contextmanager
def served(folder: Path, *arguments: str, **environment: str) -> Iterator[Serving]:
    """The shop, serving; whatever still runs at the end is killed."""
    serving = Serving(folder, *arguments, **environment)
    try:
        serving.wait_for('"(?:Ready|Worker ready)"')
        yield serving
    finally:
        serving.clean_up()


class Reply:
    """What came back for one request."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def closes(self) -> bool:
        return self.headers.get("connection", "").lower() == "close"


async def read_reply(reader: asyncio.StreamReader) -> Reply:
    """A whole response; raises where it is cut short."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    headers = {}
    for line in head[1:-2]:
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    body = b""
    if headers.get("transfer-encoding") == "chunked":
        while size := int(await reader.readuntil(b"\r\n"), 16):
            body += await reader.readexactly(size)
            await reader.readexactly(2)
        await reader.readexactly(2)
    else:
        body = await reader.readexactly(int(headers["content-length"]))
    return Reply(int(head[0].split()[1]), headers, body)


def request(path: str, *headers: str) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: shop", *headers, "", ""]).encode()


@dataclass
class Load:
    """Clients that ask and ask again on kept connections, some of them slowly, and some on a new one each time.

    Resets, cut responses and statuses other than 200 are failures; so is a refused connection, until `refusals` says
    that those are the end. A connection that the server has closed while nothing was asked on it is what HTTP allows.

    Attributes:
        failures: What went wrong, in words.
        answers: How often each body came back.
        told: Responses that said `Connection: close`.
    """

    port: int
    path: str = "/api/v1/pid"
    failures: list[str] = field(default_factory=list)
    answers: Counter[bytes] = field(default_factory=Counter)
    told: int = 0
    refused: bool = False

    async def run(self, done: Callable[[], bool], *, ends: bool = False) -> None:
        """Load until `done`; with `ends`, until a connection is refused, which then is no failure."""
        clients = [self._client(pause) for pause in (0, 0, 0, 0, 0, 0, 0.01, 0.1, 0.3, 0.7)]
        newcomers = [self._client(0, keep=False) for _ in range(4)]
        self._done, self._ends = done, ends
        await asyncio.gather(*clients, *newcomers)

    async def _client(self, pause: float, *, keep: bool = True) -> None:
        while not self._over():
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            except OSError as error:
                self.refused = True
                if not self._ends:
                    self.failures.append(f"connect: {error!r}")
                return
            try:
                await self._ask(reader, writer, pause, keep=keep)
            except (OSError, EOFError, asyncio.IncompleteReadError) as error:
                self.failures.append(f"{error!r} after {time.monotonic()}")
            finally:
                writer.close()
                with suppress(OSError):
                    await writer.wait_closed()

    async def _ask(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, pause: float, *, keep: bool
    ) -> None:
        while not self._over():
            writer.write(request(self.path))
            await writer.drain()
            reply = await read_reply(reader)
            if reply.status != 200:
                self.failures.append(f"status {reply.status}")
            self.answers[reply.body] += 1
            self.told += reply.closes
            if reply.closes or not keep:
                return
            await asyncio.sleep(pause)
            if reader.at_eof():
                return

    def _over(self) -> bool:
        return self._done() or (self._ends and self.refused)


def pids_of(serving: Serving) -> list[int]:
    """The workers that have ever been ready, in that order."""
    return [int(pid) for pid in re.findall(r'"Worker ready".*"pid":(\d+)', serving.output)]


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def until(done: Callable[[], bool]) -> None:
    """Until something holds, within a bound."""
    async with asyncio.timeout(SECONDS):
        while not done():
            await asyncio.sleep(0.05)
