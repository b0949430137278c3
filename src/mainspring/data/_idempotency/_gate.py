"""Holds the answer to an idempotent request back until it is stored, and committed with its effect."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mainspring.data._dependencies import ANSWER_KEY
from mainspring.data._session import AsyncWriteSession
from mainspring.errors import MainspringError
from mainspring.http import Exchange, Reply, exchange_of, problem_of
from mainspring.observability import get_logger

from ._claims import Claim, IdempotencyKeys, Replay

_log = get_logger(__name__)

_SAFE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
_EVENTS = b"text/event-stream"
_SERVER_ERROR = 500

type Unit = AbstractAsyncContextManager[AsyncWriteSession]


class Refused(BaseException):
    """What the application had answered is not what the client gets. None of the errors that handlers take, so that nobody
    answers it; and raised, so that what was to run after the answer does not.
    """


class Hold:
    """One answer on its way out.

    The unit of work is handed over open, when the handler and the dependencies are done; it is committed here, with the
    whole answer at hand and before any of it has left.
    """

    def __init__(self, send: Send, refuse: Callable[[MainspringError], Reply]) -> None:
        self._forward = send
        self._refuse = refuse
        self._keys: IdempotencyKeys | None = None
        self._claim: Claim | None = None
        self._session: AsyncWriteSession | None = None
        self._unit: Unit | None = None
        self._start: Message | None = None
        self._body = b""
        self._refused = False

    def take(self, keys: IdempotencyKeys, claim: Claim, session: AsyncWriteSession) -> None:
        """Note that this request runs under a key."""
        self._keys, self._claim, self._session = keys, claim, session

    def hand_over(self, session: AsyncWriteSession, unit: Unit) -> bool:
        """Take charge of a unit of work whose block has ended well; says whether it is the one that waits for us."""
        if self._session is session:
            self._unit = unit
        return self._session is session

    async def send(self, message: Message) -> None:
        """The `send` of the application."""
        if self._refused:
            return
        if self._unit is None:
            await self._forward(message)
        elif message["type"] == "http.response.start":
            self._start = message
            if message["status"] >= _SERVER_ERROR:
                await self.roll_back()
                await self._forward(message)
            elif _is_endless(message):
                await self._answer(None)
        else:
            self._body += message.get("body", b"")
            if not message.get("more_body", False):
                await self._answer(self._body)

    async def roll_back(self) -> None:
        """Undo what was not committed; for an answer that never came."""
        if self._unit is not None:
            unit, self._unit = self._unit, None
            await unit.__aexit__(RuntimeError, RuntimeError("The answer was never given."), None)

    def release(self) -> None:
        """Give the key back."""
        if self._keys is not None and self._claim is not None:
            self._keys.release(self._claim)

    async def _answer(self, body: bytes | None) -> None:
        assert self._start is not None
        start = self._start
        try:
            await self._commit(start["status"], start.get("headers", ()), body)
        except Exception as error:
            await self._tell(error)
            raise Refused from error
        await self._forward(start)
        if body is not None:
            await self._forward({"type": "http.response.body", "body": body, "more_body": False})

    async def _commit(self, status: int, headers: Any, body: bytes | None) -> None:
        assert self._keys is not None
        assert self._claim is not None
        assert self._session is not None
        assert self._unit is not None
        unit, self._unit = self._unit, None
        try:
            await self._keys.keep(self._session, self._claim, status=status, headers=headers, body=body)
        except BaseException as error:
            await unit.__aexit__(type(error), error, error.__traceback__)
            raise
        await unit.__aexit__(None, None, None)

    async def _tell(self, error: Exception) -> None:
        # Raised here it would come out of `send`, where the framework believes that the response has begun.
        self._refused = True
        if not isinstance(error, MainspringError):
            _log.exception("The commit of an idempotent request failed")
        reply = self._refuse(problem_of(error))
        headers = [*reply.headers, (b"content-length", str(len(reply.body)).encode())]
        await self._forward({"type": "http.response.start", "status": reply.status, "headers": headers})
        await self._forward({"type": "http.response.body", "body": reply.body, "more_body": False})


class IdempotencyGate:
    """Stands around the application, within compression; requests without a key pass by.

    Args:
        app: What answers.
        render: Turns a refusal of the commit into an answer.
    """

    def __init__(self, app: ASGIApp, *, render: Callable[[MainspringError, Exchange], Reply]) -> None:
        self._app = app
        self._render = render

    # Not a coroutine of its own: most requests only pass by.
    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Serve one ASGI scope."""
        if scope["type"] != "http" or scope["method"] in _SAFE:
            return self._app(scope, receive, send)
        exchange = exchange_of(scope)
        if exchange is None or exchange.header(b"idempotency-key") is None:
            return self._app(scope, receive, send)
        return self._hold(exchange, receive, send)

    async def _hold(self, exchange: Exchange, receive: Receive, send: Send) -> None:
        scope = exchange.scope
        hold = Hold(send, lambda error: self._render(error, exchange))
        scope[ANSWER_KEY] = hold
        try:
            await self._app(scope, receive, hold.send)
        except* Refused:
            # Told to the client. In a group where the answer was a stream.
            pass
        finally:
            try:
                await hold.roll_back()
            finally:
                hold.release()


def hold_of(scope: Scope) -> Hold:
    """The hold of a request with a key.

    Raises:
        RuntimeError: The application was not made by `create_app`.
    """
    hold = scope.get(ANSWER_KEY)
    if not isinstance(hold, Hold):
        raise RuntimeError("Idempotency keys need the gate that create_app puts around the application.")  # noqa: TRY004
    return hold


async def replayed(_: Request, replay: Exception) -> Response:
    """The exception handler that gives the first answer again."""
    assert isinstance(replay, Replay)
    response = Response(replay.body, status_code=replay.status)
    response.raw_headers = [*replay.headers, (b"idempotency-replayed", b"true")]
    return response


def _is_endless(start: Message) -> bool:
    return any(name == b"content-type" and value.startswith(_EVENTS) for name, value in start.get("headers", ()))
