"""Requests that are tried again when another transaction won."""

import asyncio
import random
from collections.abc import Awaitable
from itertools import count
from typing import ClassVar

from fastapi import Depends
from fastapi.params import Depends as Dependency
from fastapi.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mainspring.errors import ConcurrentUpdate
from mainspring.http import Exchange, exchange_of
from mainspring.observability import get_logger

_log = get_logger(__name__)

# What is kept of a body in order to give it again; whoever uploads more tries again by himself.
_LARGEST_BODY = 1024 * 1024
_FIRST_PAUSE = 0.01


def retried(attempts: int = 3) -> Dependency:
    """Run a route again, from its first dependency on, when another transaction won: `dependencies=[retried()]`.

    For routes whose unit of work is likely to meet others (a counter, a stock, `SERIALIZABLE`): the loser of a deadlock
    or of a conflict is told to its client otherwise, as 409. Nothing of the first attempt is left, since it was rolled
    back; what it did beside the database, it does again. On a WebSocket it does nothing. A body of more than 1 MiB is not kept, and its request not
    tried again.

    Args:
        attempts: The most times that it is run.

    Raises:
        ValueError: Fewer than two.
    """
    if attempts < 2:
        raise ValueError("retried() wants at least two attempts.")

    async def wish(connection: HTTPConnection) -> None:
        exchange = exchange_of(connection.scope)
        if exchange is not None:
            exchange.attempts = attempts

    RetryGate.is_wanted = True
    made: Dependency = Depends(wish)
    return made


async def pause_after(attempt: int) -> None:
    """Wait, longer after each attempt, and no two losers equally long."""
    await asyncio.sleep(_FIRST_PAUSE * 2 ** (attempt - 1) * random.uniform(0.5, 1.5))  # noqa: S311 -- keeps no secret


class RetryGate:
    """Stands around the application and serves a request again that its route wants to be `retried`.

    Args:
        app: What answers.
    """

    is_wanted: ClassVar[bool] = False
    """Whether any route of the process is `retried`; otherwise every request passes by."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    # Not a coroutine of its own: most requests only pass by.
    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Serve one ASGI scope."""
        exchange = exchange_of(scope) if self.is_wanted and scope["type"] == "http" else None
        if exchange is None:
            return self._app(scope, receive, send)
        return self._serve(exchange, receive, send)

    async def _serve(self, exchange: Exchange, receive: Receive, send: Send) -> None:
        scope, body = exchange.scope, _Body(receive)
        untouched, state = dict(scope), dict(scope.get("state", ()))
        for attempt in count(1):
            answer = _Answer(exchange, body, send, attempt)
            await self._app(scope, body.receive, answer.send)
            if not answer.withheld:
                return
            _log.info("Another transaction won; the request is tried again", attempt=attempt)
            await pause_after(attempt)
            # What routing and the dependencies have put there is the first attempt's.
            scope.clear()
            scope.update(untouched)
            if "state" in scope:
                scope["state"] = dict(state)
            exchange.problem, exchange.attempts, exchange.wrote = None, 1, False
            body.rewind()


class _Body:
    """A request's body, which can be received again."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._kept: list[Message] = []
        self._next = 0
        self._size = 0

    @property
    def is_whole(self) -> bool:
        return self._size <= _LARGEST_BODY

    def rewind(self) -> None:
        self._next = 0

    async def receive(self) -> Message:
        if self._next < len(self._kept):
            self._next += 1
            return self._kept[self._next - 1]
        message = await self._receive()
        if message["type"] == "http.request":
            self._size += len(message.get("body", b""))
            if self.is_whole:
                self._kept.append(message)
                self._next = len(self._kept)
            else:
                self._kept.clear()
        return message


class _Answer:
    """The answer of one attempt; kept back where there is to be another."""

    def __init__(self, exchange: Exchange, body: _Body, send: Send, attempt: int) -> None:
        self.withheld = False
        self._exchange = exchange
        self._body = body
        self._forward = send
        self._attempt = attempt

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.withheld = self._is_to_be_repeated()
        if not self.withheld:
            await self._forward(message)

    def _is_to_be_repeated(self) -> bool:
        lost = isinstance(self._exchange.problem, ConcurrentUpdate)
        return lost and self._attempt < self._exchange.attempts and self._body.is_whole
