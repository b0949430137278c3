"""What operators are told while real clients come and vanish, on a real socket."""

import asyncio
import re
import socket
import struct
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import httpx2
import pytest
import websockets
from fastapi import APIRouter, Request, WebSocket
from fastapi.responses import StreamingResponse

from mainspring.testing import serving
from tests.observability.capture import json_lines

SECONDS = 15
CLIENTS = 40
RELEASED = threading.Event()
BLOCKING = "threading.Event().wait(2.5)  # what blocks"

router = APIRouter()


@router.get("/wait")
async def wait() -> None:
    """Works on, whoever is still there, as handlers do."""
    while not RELEASED.is_set():
        await asyncio.sleep(0.02)


@router.get("/stream")
async def stream() -> StreamingResponse:
    async def parts():
        while True:
            yield b"x" * 1000
            await asyncio.sleep(0.01)

    return StreamingResponse(parts())


@router.post("/upload")
async def upload(request: Request) -> int:
    return len(await request.body())


@router.get("/quick")
async def quick() -> str:
    return "done"


@router.get("/stuck/{number}")
async def stuck(number: int) -> int:
    threading.Event().wait(2.5)  # what blocks
    return number


@router.websocket("/room")
async def room(web_socket: WebSocket) -> None:
    await web_socket.accept()
    async for _ in web_socket.iter_text():
        pass


@pytest.fixture
def live(compose):
    RELEASED.clear()
    with serving(compose(router)()) as server:
        yield server
        RELEASED.set()


def gauge(server, name) -> float:
    text = httpx2.get(f"{server.url}/metrics", timeout=SECONDS).raise_for_status().text
    return float(re.search(rf"^{name}(?:{{.*}})? (\S+)$", text, re.MULTILINE)[1])


def settles(server, name, value) -> bool:
    pause, end = threading.Event(), time.monotonic() + SECONDS
    while time.monotonic() < end:
        if gauge(server, name) == value:
            return True
        pause.wait(0.05)
    return False


def begin(server, request: bytes) -> socket.socket:
    client = socket.create_connection((server.host, server.port), timeout=SECONDS)
    client.sendall(request)
    return client


def reset(client: socket.socket) -> None:
    """Hang up without a goodbye."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


HEAD = b" HTTP/1.1\r\nHost: shop\r\nContent-Length: 1000\r\n\r\n"


@pytest.mark.parametrize(
    "request_line",
    [b"GET /api/v1/wait", b"GET /api/v1/stream", b"POST /api/v1/upload", b"GET /api/v1/quick"],
    ids=["waiting", "streaming", "half uploaded", "already answered"],
)
@pytest.mark.parametrize("how", [reset, socket.socket.close], ids=["reset", "closed"])
def test_clients_that_vanish_leave_nothing_in_flight(live, request_line, how):
    with ExitStack() as clients:
        for _ in range(CLIENTS):
            clients.callback(how, begin(live, request_line + HEAD + b"half of it"))
        if request_line != b"GET /api/v1/quick":
            assert settles(live, "http_requests_in_flight", CLIENTS)
    RELEASED.set()

    assert settles(live, "http_requests_in_flight", 0)


def test_a_handler_that_blocks_the_loop_is_named_with_its_line_route_and_request(compose):
    with json_lines() as lines:
        with serving(compose(router, slow_loop_seconds=0.3)()) as server:
            answer = httpx2.get(f"{server.url}/api/v1/stuck/7", timeout=SECONDS)
            lag = gauge(server, "event_loop_lag_seconds_sum")

        (line,) = lines(logger="mainspring.observability._loop_watch")
    number = Path(__file__).read_text(encoding="utf-8").splitlines().index(f"    {BLOCKING}") + 1
    assert line["extra"]["where"] == f"stuck in {__file__}, line {number}"
    assert f"in stuck\n    {BLOCKING}" in line["extra"]["stack"]
    assert (line["extra"]["method"], line["extra"]["route"]) == ("GET", "/api/v1/stuck/{number}")
    assert line["request_id"] == answer.headers["x-request-id"]
    assert lag > 2


async def test_websockets_are_counted_while_they_are_open_also_when_they_vanish(live):
    url = live.url.replace("http", "ws") + "/api/v1/room"
    sockets = [await websockets.connect(url) for _ in range(5)]
    assert await asyncio.to_thread(settles, live, "websocket_connections_open", 5)
    assert await asyncio.to_thread(gauge, live, "http_requests_in_flight") == 0

    await sockets[0].close()
    for left in sockets[1:]:
        left.transport.abort()

    assert await asyncio.to_thread(settles, live, "websocket_connections_open", 0)
    ended = 'websocket_connections_total{outcome="client",route="/api/v1/room"} 5.0'
    assert ended in httpx2.get(f"{live.url}/metrics", timeout=SECONDS).text
