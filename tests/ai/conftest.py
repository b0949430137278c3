import ast
import asyncio
import json
import operator
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal
from zoneinfo import ZoneInfo

import pytest
from pydantic import BaseModel, SecretStr

from mainspring.ai import FunctionTool, OpenAIProvider
from mainspring.errors import BadRequest


@dataclass
class Reply:
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    pieces: tuple[bytes, ...] = ()
    end: Literal["whole", "cut", "hold"] = "whole"


@dataclass
class Received:
    method: str
    path: str
    headers: dict[str, str]
    body: Any


class Upstream:
    """A model server on a real socket that answers with what it was told to, byte for byte."""

    def __init__(self) -> None:
        self.replies: list[Reply | None] = []
        self.received: list[Received] = []
        self.connections = 0
        self.reached = asyncio.Event()
        self.left = asyncio.Event()
        self.url = ""

    def answers(self, status: int, body: Any = "", **headers: str) -> None:
        content = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        kind = {} if isinstance(body, str) else {"content-type": "application/json"}
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.replies.append(Reply(status, {**kind, **named}, (content,)))

    def streams(self, *events: Any, end: Literal["whole", "cut", "hold"] = "whole", size: int | None = None) -> None:
        written = [event if isinstance(event, str) else f"data: {json.dumps(event)}\n\n" for event in events]
        pieces = tuple(piece.encode() for piece in written)
        if size:
            whole = b"".join(pieces)
            pieces = tuple(whole[at : at + size] for at in range(0, len(whole), size))
        self.replies.append(Reply(200, {"content-type": "text/event-stream; charset=utf-8"}, pieces, end))

    def says(self, text: str = "Hello.") -> None:
        self.streams(chunk(text), chunk(finish="stop"), usage(9, 2), DONE)

    def is_silent(self) -> None:
        self.replies.append(None)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while await self._one(reader, writer):
                pass
        writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        method, path, _ = head[0].split(" ")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        self.received.append(Received(method, path, headers, json.loads(body) if body else None))
        self.reached.set()
        reply = self.replies.pop(0)
        if reply is None:
            await self._until_client_leaves(reader)
            return False
        return await self._send(reply, reader, writer)

    async def _send(self, reply: Reply, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        headers = {"transfer-encoding": "chunked", **reply.headers}
        lines = [f"HTTP/1.1 {reply.status} X", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
        writer.write("\r\n".join(lines).encode())
        for piece in reply.pieces:
            writer.write(b"%x\r\n%b\r\n" % (len(piece), piece) if piece else b"")
            await writer.drain()
        if reply.end == "hold":
            await self._until_client_leaves(reader)
        if reply.end == "whole":
            writer.write(b"0\r\n\r\n")
            await writer.drain()
        return reply.end == "whole"

    async def _until_client_leaves(self, reader: asyncio.StreamReader) -> None:
        await reader.read()
        self.left.set()


DONE = "data: [DONE]\n\n"


def chunk(text: str | None = None, *, calls: list[dict[str, Any]] | None = None, finish: str | None = None) -> Any:
    delta = {key: value for key, value in (("content", text), ("tool_calls", calls)) if value is not None}
    return {"model": "model-2026-01", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


def usage(given: int | None, made: int | None) -> Any:
    return {"choices": [], "usage": {"prompt_tokens": given, "completion_tokens": made}}


@pytest.fixture
def wire():
    """How a server writes an answer."""

    class Wire:
        done = DONE
        chunk = staticmethod(chunk)
        usage = staticmethod(usage)

    return Wire


@pytest.fixture(autouse=True)
def _straight_to_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    fake = Upstream()
    server = await asyncio.start_server(fake.serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    fake.url = f"http://{host}:{port}/v1"
    yield fake
    server.close()
    server.close_clients()
    await server.wait_closed()


@pytest.fixture
async def openai(upstream: Upstream):
    """Makes providers that talk to the upstream, wait on nothing between attempts, and are closed afterwards."""
    made: list[OpenAIProvider] = []

    def make(**options: Any) -> OpenAIProvider:
        waits: list[float] = []

        async def sleep(seconds: float) -> None:
            waits.append(seconds)

        settings = {
            "base_url": upstream.url,
            "model": "small",
            "api_key": SecretStr("sk-secret-key-1234"),
            "sleep": sleep,
        }
        provider = OpenAIProvider(**{**settings, **options})
        provider.waits = waits
        made.append(provider)
        return provider

    yield make
    for provider in made:
        await provider.aclose()


class Sum(BaseModel):
    expression: str


class SumResult(BaseModel):
    result: str


class Text(BaseModel):
    text: str


class TextResult(BaseModel):
    words: int
    characters: int
    sentences: int


class When(BaseModel):
    operation: Literal["now", "difference", "weekday", "add"]
    timezone: str | None = None
    start: date | None = None
    end: date | None = None
    date: str | None = None
    days: int | None = None


class WhenResult(BaseModel):
    result: str


_OPERATORS = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
    ast.USub: operator.neg,
}


def _value(node: Any) -> Decimal:
    match node:
        case ast.Constant(value=value):
            return Decimal(str(value))
        case ast.UnaryOp(op=op, operand=operand):
            return _OPERATORS[type(op)](_value(operand))
        case ast.BinOp(left=left, op=op, right=right):
            return _OPERATORS[type(op)](_value(left), _value(right))
    raise BadRequest("That is no arithmetic.")


async def calculate(given: Sum) -> SumResult:
    value = _value(ast.parse(given.expression, mode="eval").body)
    return SumResult(result=f"{value.normalize():f}")


async def measure(given: Text) -> TextResult:
    sentences = sum(given.text.count(mark) for mark in ".?!") or 1
    return TextResult(words=len(given.text.split()), characters=len(given.text), sentences=sentences)


async def tell_date(given: When) -> WhenResult:
    if given.operation == "now":
        return WhenResult(result=datetime.now(UTC).astimezone(ZoneInfo(given.timezone or "UTC")).isoformat())
    if given.operation == "difference":
        return WhenResult(result=str((given.end - given.start).days))
    try:
        day = date.fromisoformat(given.date or "")
    except ValueError:
        raise BadRequest(f"{given.date} is no date.") from None
    if given.operation == "weekday":
        return WhenResult(result=f"{day:%A}")
    return WhenResult(result=(day + timedelta(days=given.days or 0)).isoformat())


@pytest.fixture
def calculator():
    return FunctionTool(
        name="calculator",
        description="Calculates.",
        input_model=Sum,
        output_model=SumResult,
        run=calculate,
        retry_safe=True,
    )


@pytest.fixture
def tools(calculator):
    """The three tools the rules know."""
    return [
        calculator,
        FunctionTool(
            name="text_statistics", description="Counts.", input_model=Text, output_model=TextResult, run=measure
        ),
        FunctionTool(
            name="date_time", description="Knows dates.", input_model=When, output_model=WhenResult, run=tell_date
        ),
    ]
