"""Answers 504 for a request whose time is up, and cancels its work."""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from time import perf_counter

from mainspring.errors import DeadlineExceeded, MainspringError
from mainspring.observability import get_logger, use_context

from ._exchange import Exchange

_log = get_logger(__name__)

_ATTRIBUTE = "__mainspring_deadline__"
# Between two looks at the requests in flight: how late the answer may be.
_PERIOD_SECONDS = 0.25


def deadline[**P, R](seconds: float | None) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Give a route its own time instead of `REQUEST_TIMEOUT`; None takes the limit away.

    It is the time until the response starts: a stream that has begun is never cut. For a route that takes uploads it
    includes their way to us. Above or below the router's decorator makes no difference.

    Args:
        seconds: From the arrival of the request.

    Raises:
        ValueError: Not a positive number.
    """
    if seconds is not None and not seconds > 0:
        raise ValueError(f"A deadline is a positive number of seconds, or None for no limit; got {seconds!r}.")

    def mark(endpoint: Callable[P, R]) -> Callable[P, R]:
        setattr(endpoint, _ATTRIBUTE, seconds)
        return endpoint

    return mark


class Deadline:
    """Looks through the requests in flight, a few times a second and only while there are some.

    A timer per request would cost each of them more than the look costs all together. A handler in a thread cannot be
    stopped: its client gets the answer, and the thread comes to its end alone.

    Args:
        seconds: From arrival to the start of the response; None for no limit but the routes' own.
        in_flight: The requests, kept by the pipeline.
        fail: Answers a request with an error.
    """

    def __init__(
        self,
        seconds: float | None,
        in_flight: Collection[Exchange],
        fail: Callable[[Exchange, MainspringError], Awaitable[None]],
    ) -> None:
        self._seconds = seconds
        self._in_flight = in_flight
        self._fail = fail
        self._answering: set[asyncio.Task[None]] = set()
        self.watching = False

    def watch(self) -> None:
        """Begin to look; to be called when a request arrives and nothing watches."""
        self.watching = True
        asyncio.get_running_loop().call_later(_PERIOD_SECONDS, self._look)

    def _look(self) -> None:
        now = perf_counter()
        for exchange in list(self._in_flight):
            if exchange.status == 0 and not exchange.cut and exchange.scope["type"] == "http":
                limit = self._limit_of(exchange)
                if limit is not None and now - exchange.began >= limit:
                    self._end(exchange, limit)
        if self._in_flight:
            self.watch()
        else:
            self.watching = False

    def _limit_of(self, exchange: Exchange) -> float | None:
        endpoint = exchange.scope.get("endpoint")
        limit: float | None = getattr(endpoint, _ATTRIBUTE, self._seconds)
        return limit

    def _end(self, exchange: Exchange, limit: float) -> None:
        exchange.cut = True
        task = asyncio.get_running_loop().create_task(self._answer(exchange, limit))
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)

    async def _answer(self, exchange: Exchange, limit: float) -> None:
        with use_context(exchange.log):
            _log.warning("Deadline exceeded", route=exchange.route, seconds=limit)
            try:
                await self._fail(exchange, DeadlineExceeded("The service took too long; the work was given up."))
            finally:
                if exchange.task is not None:
                    exchange.task.cancel()
