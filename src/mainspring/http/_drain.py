"""Brings the requests in flight to an end when the service is about to stop."""

import asyncio
import random
from collections.abc import Collection, Coroutine, Iterable
from contextlib import suppress
from typing import Any, override

from mainspring.errors import ServiceUnavailable
from mainspring.observability import get_logger, use_context

from ._exchange import ACCEPTED, Exchange, HeaderList
from ._pipeline import Pipeline, Stage

_log = get_logger(__name__)

_PERIOD_SECONDS = 0.05
# What is cancelled gets as long to clean up behind itself.
_CANCELLED_SECONDS = 1.0
# RFC 6455, section 7.4.2: "service restart"; a client should come back after a moment that it picks at random.
_SERVICE_RESTART = 1012
# Between these, in milliseconds, a stream's client is told to wait: all of them at once would be a burst.
_RETRY = (1000, 3000)
_BOUNDARIES = (b"\n\n", b"\r\r", b"\r\n\r\n")


class Drain(Stage):
    """Tells clients to move over, then ends what is still being served.

    Whoever runs the server calls `leave` on SIGTERM, `send_home` once no more connections are accepted, and `give_up` for
    what is not done in time. Under a server that calls none of them it does nothing.

    Attributes:
        leaving: Whether this process is about to stop: answers carry `Connection: close`.
        ending: Whether the whole service is, and not only this process: readiness answers 503.
    """

    name = "drain"
    purpose = "on SIGTERM: not ready, clients move over, requests in flight finish"
    cost = "under 1 µs"

    def __init__(self) -> None:
        self.leaving = False
        self.ending = False
        self._pipeline: Pipeline | None = None
        self._telling: set[asyncio.Task[None]] = set()

    def watch(self, pipeline: Pipeline) -> None:
        """Be responsible for what passes a pipeline."""
        self._pipeline = pipeline

    def leave(self, *, ending: bool) -> None:
        """Begin to let go; safe in a signal handler.

        Args:
            ending: Whether nobody takes this process's place on this machine, so that requests should go elsewhere.
        """
        self.leaving = True
        self.ending = self.ending or ending

    @override
    def response(self, exchange: Exchange, headers: HeaderList) -> None:
        if self.leaving and exchange.scope.get("http_version", "1.1").startswith("1"):
            headers.append((b"connection", b"close"))

    @property
    def in_flight(self) -> Collection[Exchange]:
        """What is being served, work that goes on after its answer (background tasks) included."""
        return self._pipeline.in_flight if self._pipeline is not None else ()

    @property
    def busy(self) -> bool:
        """Whether anything is in flight."""
        return bool(self.in_flight)

    def send_home(self) -> None:
        """End the event streams and WebSockets that are open; call it again for those that were not ready for it.

        An event stream ends between two events, with a hint when to come back; a WebSocket is closed with code 1012.
        """
        for exchange in list(self.in_flight):
            self._send_home(exchange)

    async def give_up(self) -> None:
        """Cancel what is in flight, and log its route and request id; a client that has no answer yet gets 503."""
        if self._pipeline is None:
            return
        left = list(self._pipeline.in_flight)
        for exchange in left:
            self._begin(self._cancel(self._pipeline, exchange))
        if left:
            await _gone(left, self._pipeline.in_flight)

    def _send_home(self, exchange: Exchange) -> None:
        if exchange.cut or exchange.complete:
            return
        if exchange.scope["type"] == "websocket":
            if exchange.status == ACCEPTED:
                exchange.cut = True
                self._begin(self._close(exchange))
        elif _is_event_stream(exchange) and exchange.tail.endswith(_BOUNDARIES):
            exchange.cut = True
            self._begin(self._end_stream(exchange))

    async def _close(self, exchange: Exchange) -> None:
        with suppress(OSError, RuntimeError):  # the client was quicker
            await exchange.send({"type": "websocket.close", "code": _SERVICE_RESTART, "reason": "service restart"})
        exchange.complete = True

    async def _end_stream(self, exchange: Exchange) -> None:
        hint = b"retry: %d\n\n" % random.randint(*_RETRY)  # noqa: S311 -- spreads load, guards nothing
        await exchange.send({"type": "http.response.body", "body": hint, "more_body": False})
        exchange.sent += len(hint)
        exchange.complete = True
        if exchange.task is not None:
            exchange.task.cancel()

    async def _cancel(self, pipeline: Pipeline, exchange: Exchange) -> None:
        with use_context(exchange.log):
            _log.warning(
                "Still running at the end of the drain; cancelled",
                route=exchange.route,
                method=exchange.method,
                seconds=round(exchange.seconds, 3),
                answered=exchange.complete,
            )
            unanswered = exchange.status == 0 and not exchange.cut and exchange.scope["type"] == "http"
            exchange.cut = True
            try:
                if unanswered:
                    await pipeline.fail(exchange, ServiceUnavailable("The service is restarting; try again."))
                elif exchange.scope["type"] == "http" and not exchange.complete and _is_event_stream(exchange):
                    # In the middle of an event, which the client throws away; the body at least ends in good order.
                    await exchange.send({"type": "http.response.body", "body": b"", "more_body": False})
            finally:
                if exchange.task is not None:
                    exchange.task.cancel()

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        # One task each: a client that does not read must not keep the others from being told.
        task = asyncio.get_running_loop().create_task(work)
        self._telling.add(task)
        task.add_done_callback(self._told)

    def _told(self, task: asyncio.Task[None]) -> None:
        self._telling.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.debug("A client could not be told", exc_info=error)


def _is_event_stream(exchange: Exchange) -> bool:
    """Whether text can be appended to the response so that its client reads it as events."""
    kind = encoded = b""
    for name, value in exchange.answered_with:
        if name == b"content-type":
            kind = value
        elif name in {b"content-encoding", b"content-length"}:
            encoded = value
    return kind.startswith(b"text/event-stream") and not encoded


async def _gone(these: Iterable[Exchange], in_flight: Collection[Exchange]) -> None:
    loop = asyncio.get_running_loop()
    bound = loop.time() + _CANCELLED_SECONDS
    while any(exchange in in_flight for exchange in these) and loop.time() < bound:  # noqa: ASYNC110 -- no event tells
        await asyncio.sleep(_PERIOD_SECONDS)
