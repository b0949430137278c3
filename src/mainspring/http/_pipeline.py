"""The pipeline: every cross-cutting stage in one pass around the application.

Stages are small objects with up to three hooks, run by one ASGI callable. A chain of middlewares would wrap `send` once
per layer and per request; here it is wrapped once, and each stage costs one method call per hook it has.
"""

from asyncio import CancelledError, current_task
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import ClassVar

import anyio
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketDisconnect

from mainspring.errors import ContentTooLarge, MainspringError
from mainspring.observability import enter_context, get_logger, leave_context

from ._deadline import Deadline
from ._exchange import ACCEPTED, SCOPE_KEY, Exchange, HeaderList, Reply

_log = get_logger(__name__)


class Stage:
    """One concern of the pipeline. Override the hooks it needs; the others cost nothing.

    A hook may not await: what needs I/O belongs into a dependency, where its errors and its cancellation are the
    request's own.
    """

    name: ClassVar[str]
    """What `mainspring explain` calls it."""
    purpose: ClassVar[str]
    """What it does, in a few words, for `mainspring explain`."""
    cost: ClassVar[str] = ""
    """CPU time that it adds to a request, as a class: `under 1 µs`, `1 to 5 µs`. `make bench` measures it."""

    def request(self, exchange: Exchange) -> Reply | None:
        """Before the application; may correct the scope, answer by itself, or raise a `MainspringError`."""

    def response(self, exchange: Exchange, headers: HeaderList) -> None:
        """When the response starts; may add to its headers."""

    def finish(self, exchange: Exchange) -> None:
        """Once, when all is over, also after a failure or a vanished client."""


type Renderer = Callable[[MainspringError, Exchange], Reply]

_TOO_LARGE = ContentTooLarge.status
_VANISHED = (ClientDisconnect, WebSocketDisconnect, anyio.BrokenResourceError, anyio.ClosedResourceError)
_WITHOUT_CONTENT = frozenset({204, 304})
_FORBIDDEN = 403


class Pipeline:
    """Runs the stages around an ASGI application.

    Args:
        app: What answers.
        stages: In order of the request; `response` and `finish` run in reverse.
        render: Turns an error raised by a stage into an answer.
        timeout: Seconds from the arrival of a request to the start of its response; None for no limit but the routes'.

    Attributes:
        in_flight: The requests and WebSockets that are being served.
    """

    def __init__(
        self, app: ASGIApp, *, stages: Sequence[Stage], render: Renderer, timeout: float | None = None
    ) -> None:
        self.in_flight: set[Exchange] = set()
        self._app = app
        self._render = render
        self._deadline = Deadline(timeout, self.in_flight, self.fail)
        self._on_request = [stage.request for stage in stages if _overrides(stage, "request")]
        self._on_response = [stage.response for stage in reversed(stages) if _overrides(stage, "response")]
        self._on_finish = [stage.finish for stage in reversed(stages) if _overrides(stage, "finish")]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI scope; HTTP and WebSocket pass the stages, lifespan goes straight through."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        exchange = Exchange(scope, send)
        exchange.task = current_task()
        self.in_flight.add(exchange)
        if not self._deadline.watching:
            self._deadline.watch()
        token = enter_context(exchange.log)
        try:
            reply = self._precheck(exchange)
            if reply is None:
                await self._app(scope, receive, self._watching(exchange))
            else:
                await self._answer(exchange, reply)
        except CancelledError:
            if not (exchange.cut and exchange.task and exchange.task.uncancel() == 0):
                raise
        except (ClientDisconnect, WebSocketDisconnect):
            _log.debug("The client went away")
        except Exception as error:  # noqa: BLE001 -- the outermost boundary: logged, answered
            await self._give_up(exchange, error)
        finally:
            self._finish(exchange)
            leave_context(token)

    def _finish(self, exchange: Exchange) -> None:
        self.in_flight.discard(exchange)
        for finish in self._on_finish:
            try:
                finish(exchange)
            except Exception:  # noqa: BLE001 -- logged; the other stages still have to finish
                _log.exception("A stage failed after the answer")
        if exchange.error is None:
            # The two hold each other; apart, they are gone at once and not when the collector comes by. A defect
            # stays in view of who called; its traceback is held by the frames anyway.
            # Within a Mainspring application that is mounted in another, the inner one has taken its own away already.
            exchange.scope.pop(SCOPE_KEY, None)

    def _precheck(self, exchange: Exchange) -> Reply | None:
        try:
            for request in self._on_request:
                reply = request(exchange)
                if reply is not None:
                    return reply
        except MainspringError as error:
            return self._render(error, exchange)
        return None

    async def _give_up(self, exchange: Exchange, error: Exception) -> None:
        """Answer a defect: handlers have had their say. It is told once, here, and not raised: the server could only
        log it a second time, without the request id.
        """
        if exchange.cut:
            _log.debug("The work failed after its time was up", exc_info=True)
            return
        if exchange.status and _is_vanished_client(error):
            _log.debug("The client went away while the answer was streamed")
            return
        exchange.error = error
        _log.exception("Unhandled exception", path=exchange.scope["path"], method=exchange.scope.get("method"))
        if exchange.status == 0:
            await self.fail(exchange, MainspringError())
        elif exchange.status == ACCEPTED and not exchange.complete:
            with suppress(OSError):  # that is how a server says that the other side has hung up already
                await exchange.send({"type": "websocket.close", "code": 1011, "reason": MainspringError.code})

    async def fail(self, exchange: Exchange, error: MainspringError) -> None:
        """Answer a request whose response has not started with an error."""
        await self._answer(exchange, self._render(error, exchange))

    async def _answer(self, exchange: Exchange, reply: Reply) -> None:
        send, scope = exchange.send, exchange.scope
        if scope["type"] == "websocket":
            exchange.status, exchange.complete = exchange.status or _FORBIDDEN, True
            # Before the handshake is accepted, closing is the one answer every server can give; it becomes a 403.
            await send({"type": "websocket.close", "code": 1008, "reason": ""})
            return
        headers = list(reply.headers)
        if reply.status not in _WITHOUT_CONTENT:  # RFC 9110 section 8.6
            headers.append((b"content-length", str(len(reply.body)).encode()))
        exchange.status = reply.status
        for respond in self._on_response:
            respond(exchange, headers)
        body = b"" if scope["method"] == "HEAD" else reply.body
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        exchange.sent += len(body)
        await send({"type": "http.response.body", "body": body, "more_body": False})
        exchange.complete = True

    def _watching(self, exchange: Exchange) -> Send:
        """The `send` that the application gets."""
        on_response, send = self._on_response, exchange.send

        async def watched(message: Message) -> None:
            if exchange.cut:
                _drop(exchange)
                return
            kind = message["type"]
            if kind == "http.response.start":
                headers = list(message.get("headers", ()))
                status = message["status"]
                if status == _TOO_LARGE and _is_plain(headers):
                    # FastAPI's body limit answers in plain text, over the head of every handler.
                    exchange.cut = True
                    await self.fail(exchange, ContentTooLarge("The body is larger than this service takes."))
                    return
                exchange.status = status
                for respond in on_response:
                    respond(exchange, headers)
                message["headers"] = exchange.answered_with = headers
                await send(message)
            elif kind == "http.response.body":
                body = message.get("body", b"")
                exchange.sent += len(body)
                more = message.get("more_body", False)
                if more and body:
                    # Before it is sent: while the client does not read, this is the last thing that it will have read.
                    exchange.tail = (exchange.tail + body[-4:])[-4:]
                await send(message)
                exchange.complete = not more
            else:
                await self._pass_on(exchange, message)

        return watched

    async def _pass_on(self, exchange: Exchange, message: Message) -> None:
        """What is neither the start nor the body of an ordinary response."""
        kind = message["type"]
        if kind == "websocket.accept":
            exchange.status = ACCEPTED
        elif kind == "websocket.close":
            exchange.status = exchange.status or _FORBIDDEN
            exchange.complete = True
        elif kind == "websocket.http.response.start":
            exchange.status = message["status"]
            headers = list(message.get("headers", ()))
            for respond in self._on_response:
                respond(exchange, headers)
            message["headers"] = headers
        elif kind == "websocket.http.response.body":
            exchange.sent += len(message.get("body", b""))
            exchange.complete = not message.get("more_body", False)
        elif kind == "http.response.pathsend":
            exchange.complete = True
        await exchange.send(message)


def _drop(exchange: Exchange) -> None:
    if exchange.scope["type"] == "websocket":
        # That is how a server says that the other side is gone; a handler that only sends would else never notice.
        raise OSError("The WebSocket is closed.")


def _is_plain(headers: HeaderList) -> bool:
    return any(name == b"content-type" and value.startswith(b"text/plain") for name, value in headers)


def _is_vanished_client(error: BaseException) -> bool:
    """Whether this is how the framework notices that nobody reads the stream any more."""
    if isinstance(error, BaseExceptionGroup):
        return all(map(_is_vanished_client, error.exceptions))
    return isinstance(error, _VANISHED)


def _overrides(stage: Stage, hook: str) -> bool:
    return getattr(type(stage), hook) is not getattr(Stage, hook)
