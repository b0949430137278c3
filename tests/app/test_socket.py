"""The same service behind a real server on a real socket, where clients lie, break off and send odd bytes."""

import asyncio
import json
import socket
import time
from uuid import uuid4

import httpx2
import pytest
import websockets
from fastapi import APIRouter, HTTPException, Request, WebSocket
from fastapi.responses import StreamingResponse

from mainspring.app import create_app
from mainspring.errors import PermissionDenied
from mainspring.kernel import Module
from mainspring.settings import Settings
from mainspring.testing import serving
from tests.observability.capture import json_lines

router = APIRouter()


@router.get("/status/{status}")
async def status(status: int) -> None:
    raise HTTPException(status)


@router.post("/things")
async def create(body: dict) -> int:
    return len(body)


@router.post("/stream")
async def consume(request: Request) -> int:
    return sum([len(part) async for part in request.stream()])


@router.get("/broken")
async def broken() -> StreamingResponse:
    async def parts():
        yield b"first\n"
        raise RuntimeError("hunter2")

    return StreamingResponse(parts())


@router.get("/endless")
async def endless() -> StreamingResponse:
    async def parts():
        while True:
            yield b"x" * 1000
            await asyncio.sleep(0.001)

    return StreamingResponse(parts())


@router.websocket("/echo/{room}")
async def echo(socket: WebSocket, room: str) -> None:
    if room == "locked":
        raise PermissionDenied
    await socket.accept()
    while True:
        text = await socket.receive_text()
        if text == "defect":
            raise RuntimeError("hunter2")
        if text == "refuse":
            raise PermissionDenied
        await socket.send_text(text)


THINGS = Module(name="things", routers=(router,))


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("service")
    settings = Settings(environment="test", database_url=f"sqlite:///{folder}/test.db", max_body_bytes=1000)
    with serving(create_app("shop", settings=settings, modules=[THINGS])) as server:
        yield server


@pytest.fixture
def lines():
    with json_lines("INFO") as lines:
        yield lines


@pytest.fixture
def name():
    """The id of a test's request: what the server writes late must not be taken for another test's."""
    return uuid4().hex


def waited(lines, name, **wanted):
    """The first line of this request and kind; the server writes it in its own time."""
    deadline = time.monotonic() + 10
    while not (found := lines(request_id=name, **wanted)):
        assert time.monotonic() < deadline, f"no line with {wanted} in:\n{lines.text}"
        time.sleep(0.01)  # noqa: TID251 -- the server runs in another thread
    return found[0]


def access(lines, name):
    return waited(lines, name, logger="mainspring.access")["extra"]


def exchange(server, request):
    """Sends bytes as they are; gives status, headers and body of the answer."""
    with socket.create_connection((server.host, server.port), timeout=10) as connection:
        connection.sendall(request)
        received = b""
        while part := connection.recv(65536):
            received += part
    head, _, body = received.partition(b"\r\n\r\n")
    first, *fields = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (field.partition(":") for field in fields)}
    return int(first.split()[1]), headers, body


def request(line, *headers, body=b""):
    fields = "".join(f"{header}\r\n" for header in ("Host: testserver", "Connection: close", *headers))
    return f"{line} HTTP/1.1\r\n{fields}\r\n".encode("latin-1") + body


JSON = "Content-Type: application/json"


class TestBodies:
    def test_one_that_is_announced_as_too_large_is_refused_unread(self, server, lines):
        asked = request("POST /api/v1/things", JSON, "Content-Length: 1000000000")
        status, headers, body = exchange(server, asked)

        assert (status, json.loads(body)["code"]) == (413, "CONTENT_TOO_LARGE")
        assert headers["content-type"] == "application/problem+json"
        assert json.loads(body)["request_id"] == headers["x-request-id"]

    @pytest.mark.parametrize("path", ["/api/v1/things", "/api/v1/stream"])
    def test_one_that_grows_too_large_in_chunks_is_refused(self, server, lines, path):
        chunks = b"".join(b"%x\r\n%s\r\n" % (400, b"x" * 400) for _ in range(5)) + b"0\r\n\r\n"
        asked = request(f"POST {path}", JSON, "Transfer-Encoding: chunked", body=chunks)
        status, headers, body = exchange(server, asked)

        assert (status, json.loads(body)["code"]) == (413, "CONTENT_TOO_LARGE")
        assert json.loads(body)["request_id"] == headers["x-request-id"]

    def test_one_that_just_fits_is_taken(self, server, lines):
        body = b'{"a":"' + b"x" * 992 + b'"}'
        assert len(body) == 1000
        status, _, answer = exchange(server, request("POST /api/v1/things", JSON, "Content-Length: 1000", body=body))

        assert (status, answer) == (200, b"1")

    @pytest.mark.parametrize("length", ["ten", "-1", "1e3", "0x10", "9" * 5000])
    def test_a_length_that_is_no_number_is_the_clients_error(self, server, lines, name, length):
        asked = request("POST /api/v1/things", JSON, f"Content-Length: {length}", f"X-Request-ID: {name}", body=b"{}")

        assert exchange(server, asked)[0] in {400, 413}
        assert all("exception" not in line for line in lines(request_id=name))

    def test_a_client_that_breaks_off_is_no_defect(self, server, lines, name):
        asked = request("POST /api/v1/stream", "Content-Length: 500", f"X-Request-ID: {name}", body=b"x" * 100)
        with socket.create_connection((server.host, server.port)) as connection:
            connection.sendall(asked)

        assert access(lines, name)["status"] == 499
        assert [line["level"] for line in lines(request_id=name)] == ["info"]


class TestAnswers:
    @pytest.mark.parametrize("status", [204, 304])
    def test_a_status_without_content_is_complete(self, server, lines, name, status):
        answered, headers, body = exchange(server, request(f"GET /api/v1/status/{status}", f"X-Request-ID: {name}"))

        assert (answered, body, headers["x-request-id"]) == (status, b"", name)
        assert access(lines, name)["complete"] is True
        assert lines(request_id=name, level="error") == []

    def test_a_stream_that_breaks_is_not_passed_off_as_complete(self, server, lines, name):
        with pytest.raises(httpx2.RemoteProtocolError):
            httpx2.get(f"{server.url}/api/v1/broken", headers={"x-request-id": name, "accept-encoding": "identity"})

        assert "hunter2" in waited(lines, name, message="Unhandled exception")["exception"]
        line = access(lines, name)
        assert (line["status"], line["complete"], line["bytes"]) == (200, False, len("first\n"))

    def test_a_client_that_has_seen_enough_is_no_defect(self, server, lines, name):
        with httpx2.stream("GET", f"{server.url}/api/v1/endless", headers={"x-request-id": name}) as answer:
            next(answer.iter_bytes())

        assert (access(lines, name)["status"], access(lines, name)["complete"]) == (200, False)
        assert lines(request_id=name, level="error") == []

    @pytest.mark.parametrize("given", ["short", "has space in it", 'in"jec(tion)', "é" * 10, "a" * 200])
    def test_an_id_that_is_malformed_is_replaced(self, server, lines, given):
        status, headers, _ = exchange(server, request("GET /health/live", f"X-Request-ID: {given}"))

        assert status == 200
        assert headers["x-request-id"] != given
        assert len(headers["x-request-id"]) == 32

    @pytest.mark.parametrize("path", ["/%ED%A0%80", "/%FF%FE", "/%00", "/a%0d%0ab", "/%E2%80%A8"])
    def test_a_path_of_any_bytes_is_answered_and_logged_as_one_line(self, server, lines, name, path):
        status, _, body = exchange(server, request(f"GET {path}", f"X-Request-ID: {name}"))

        assert (status, json.loads(body)["code"]) == (404, "RESOURCE_NOT_FOUND")
        assert access(lines, name)["path"]
        assert len(lines(request_id=name)) == 1

    def test_head_is_answered_without_a_body(self, server, lines):
        status, headers, body = exchange(server, request("HEAD /nothing"))

        assert (status, body) == (404, b"")
        assert int(headers["content-length"]) > 0


class TestWebSockets:
    def at(self, server, name, path="/api/v1/echo/a"):
        headers = {"X-Request-ID": name}
        return websockets.connect(f"ws://{server.host}:{server.port}{path}", additional_headers=headers)

    async def test_a_conversation_is_one_line_with_its_route(self, server, lines, name):
        async with self.at(server, name) as talk:
            await talk.send("hello")
            assert await talk.recv() == "hello"

        line = await asyncio.to_thread(access, lines, name)
        assert (line["method"], line["status"], line["route"]) == ("WS", 101, "/api/v1/echo/{room}")
        assert lines(request_id=name, level="error") == []

    @pytest.mark.parametrize(
        ("said", "code", "reason", "told"),
        [("defect", 1011, "INTERNAL_ERROR", 1), ("refuse", 1008, "PERMISSION_DENIED", 0)],
    )
    async def test_an_error_in_it_closes_it_with_a_code(self, server, lines, name, said, code, reason, told):
        async with self.at(server, name) as talk:
            await talk.send(said)
            with pytest.raises(websockets.ConnectionClosedError):
                await talk.recv()

        assert (talk.close_code, talk.close_reason) == (code, reason)
        await asyncio.to_thread(access, lines, name)
        assert len(lines(request_id=name, level="error")) == told

    async def test_an_error_before_it_is_an_answer_like_any_other(self, server, lines, name):
        with pytest.raises(websockets.InvalidStatus) as refused:
            async with self.at(server, name, "/api/v1/echo/locked"):
                pass

        answer = refused.value.response
        assert answer.status_code == 403
        assert json.loads(answer.body)["request_id"] == answer.headers["x-request-id"] == name

    async def test_a_path_that_is_none_is_refused(self, server, lines, name):
        with pytest.raises(websockets.InvalidStatus) as refused:
            async with self.at(server, name, "/nothing"):
                pass

        assert refused.value.response.status_code in {403, 404}

    async def test_a_client_that_breaks_off_is_no_defect(self, server, lines, name):
        talk = await self.at(server, name)
        talk.transport.abort()

        assert (await asyncio.to_thread(access, lines, name))["status"] == 101
        assert lines(request_id=name, level="error") == []
