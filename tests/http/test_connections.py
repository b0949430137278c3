"""Errors on connections that end early or stay open: clients that vanish, and WebSockets."""

import json

import pytest
from fastapi import HTTPException, Request, WebSocket

from mainspring.errors import (
    ServiceUnavailable,
)

from .conftest import Answer, scope_of
from .seams import Teapot, seamed


class TestVanishedClients:
    @pytest.mark.parametrize("body", [False, True])
    async def test_a_client_that_leaves_while_sending_is_not_answered_and_no_defect(self, lines, body):
        app, served = seamed()

        @app.post("/x")
        async def x(request: Request) -> None:
            async for _ in request.stream():
                pass

        messages = iter([{"type": "http.request", "body": b"a", "more_body": True}] if body else [])
        answer = Answer()

        async def receive():
            return next(messages, {"type": "http.disconnect"})

        async def send(message):
            answer.messages.append(message)

        await served(scope_of("/x", method="POST"), receive, send)

        assert answer.messages == []
        assert lines(level="error") == []


class TestWebSockets:
    async def talk(self, error, *, accept=True):
        app, served = seamed()

        @app.websocket("/ws")
        async def ws(socket: WebSocket) -> None:
            if accept:
                await socket.accept()
            raise error

        answer = Answer()

        async def receive():
            return {"type": "websocket.connect"}

        async def send(message):
            answer.messages.append(message)

        scope = scope_of("/ws", kind="websocket", scheme="ws")
        await served(scope | {"subprotocols": [], "extensions": {"websocket.http.response": {}}}, receive, send)
        return answer.messages

    @pytest.mark.parametrize(
        ("error", "code", "reason"),
        [
            (Teapot(), 1008, "TEAPOT_ON_STRIKE"),
            (HTTPException(403), 1008, "PERMISSION_DENIED"),
            (ServiceUnavailable(), 1011, "SERVICE_UNAVAILABLE"),
            (RuntimeError("hunter2"), 1011, "INTERNAL_ERROR"),
        ],
        ids=repr,
    )
    async def test_an_error_in_the_conversation_closes_it_with_its_code(self, error, code, reason, lines):
        accept, close = await self.talk(error)

        assert accept["type"] == "websocket.accept"
        assert (close["type"], close["code"], close["reason"]) == ("websocket.close", code, reason)
        assert len(lines(level="error")) == (1 if isinstance(error, RuntimeError) else 0)

    async def test_an_error_before_the_handshake_is_answered_like_a_requests(self):
        start, body, *_ = await self.talk(Teapot(), accept=False)

        assert (start["type"], start["status"]) == ("websocket.http.response.start", 418)
        assert json.loads(body["body"])["code"] == "TEAPOT_ON_STRIKE"
