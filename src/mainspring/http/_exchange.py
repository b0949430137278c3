"""One request and its answer, as the pipeline sees them."""

from asyncio import Task
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from starlette.types import Scope, Send

from mainspring.errors import MainspringError
from mainspring.observability import LogContext

SCOPE_KEY = "mainspring.exchange"
"""Where the exchange stands in the ASGI scope."""

ACCEPTED = 101
"""Noted as the status of a WebSocket whose handshake is done."""

type HeaderList = list[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Reply:
    """A complete answer that a stage gives without asking the application.

    Attributes:
        status: HTTP status.
        headers: Lower-case names and values.
        body: The payload.
    """

    status: int
    headers: tuple[tuple[bytes, bytes], ...] = ()
    body: bytes = b""


class Exchange:
    """Everything the stages know of one request; made once, shared by all, gone with the response.

    Attributes:
        scope: The ASGI scope; stages may correct it (client address, scheme) before the application sees it.
        header: The value of a request header by its lower-case name, the first one where there are several; or None.
        log: Correlation of this request's log lines.
        send: What hands messages to the server, past the stages.
        task: The task that the request is served in, once it is.
        began: When it arrived, by `time.perf_counter`.
        template: The template of the matched route, where it was found by the index.
        mount: The template that another application is mounted at, where the request is for that one.
        status: Status of the response, 0 until it started.
        sent: Bytes of body handed to the server.
        complete: Whether the whole response was handed to the server.
        cut: Whether somebody else has answered: what the application still sends is dropped.
        error: The exception that no handler took, if any.
        problem: The error that was answered, if any.
        attempts: How often it may be served, where another transaction wins.
        wrote: Whether a unit of work of its dependencies was committed.
        span: What the tracing stage has begun and will end.
        answered_with: The headers of the response, once it has started.
        tail: The last four bytes of a body that is sent in pieces.
    """

    __slots__ = (
        "answered_with",
        "attempts",
        "began",
        "complete",
        "cut",
        "error",
        "header",
        "headers",
        "log",
        "mount",
        "problem",
        "scope",
        "send",
        "sent",
        "span",
        "status",
        "tail",
        "task",
        "template",
        "wrote",
    )

    def __init__(self, scope: Scope, send: Send) -> None:
        self.began = perf_counter()
        self.scope = scope
        self.send = send
        self.headers: HeaderList = scope["headers"]
        # Backwards, so that the first one of a name is the one that stays.
        self.header = dict(reversed(self.headers)).get
        self.log = LogContext("")
        self.task: Task[Any] | None = None
        self.template: str | None = None
        self.mount: str | None = None
        self.status = 0
        self.sent = 0
        self.complete = False
        self.cut = False
        self.error: BaseException | None = None
        self.problem: MainspringError | None = None
        self.attempts = 1
        self.wrote = False
        self.span: Any = None
        self.answered_with: HeaderList | tuple[()] = ()
        self.tail = b"\n\n"
        scope[SCOPE_KEY] = self

    @property
    def method(self) -> str:
        """The request's method; `WS` for a WebSocket, which has none."""
        method: str = self.scope.get("method", "WS")
        return method

    @property
    def client(self) -> str | None:
        """The client's address, as far as trusted proxies let us know."""
        peer = self.scope.get("client")
        return peer[0] if peer else None

    @property
    def route(self) -> str | None:
        """The template of the matched route (`/agents/{id}`), never the path itself; None when nothing matched.

        Within a mounted application it is the mount's and that application's own (`/shop` and `/items/{id}`); where that
        one has no routes, it is `/static/{path}` for everything.
        """
        if self.template is not None:
            return self.template
        if self.mount is not None:
            return self.mount + (self._walked or "/{path}")
        return self._walked

    @property
    def _walked(self) -> str | None:
        context = self.scope.get("fastapi", {}).get("effective_route_context") or self.scope.get("route")
        # FastAPI's own context of a WebSocket has no path; the route in it does.
        context = getattr(context, "starlette_route", None) or context
        template: Any = getattr(context, "path_format", None) or getattr(context, "path", None)
        return template if isinstance(template, str) else None

    @property
    def seconds(self) -> float:
        """Time since the request arrived."""
        return perf_counter() - self.began


def exchange_of(scope: Scope) -> Exchange | None:
    """The exchange that a scope belongs to; None when the pipeline is not in front."""
    found = scope.get(SCOPE_KEY)
    return found if isinstance(found, Exchange) else None
