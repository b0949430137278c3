"""Counts requests by route, for Prometheus."""

from bisect import bisect_left
from collections.abc import Callable, Collection, Iterator
from typing import ClassVar, override

from mainspring.http._exchange import ACCEPTED, Exchange
from mainspring.http._pipeline import Stage
from mainspring.observability import Family, single

from ._access_log import CLIENT_CLOSED_REQUEST
from ._probes import METRICS_PATH

UNMATCHED = "<unmatched>"
"""The route of everything that no route has taken. No path can be called that: it does not begin with a slash."""
OTHER_METHOD = "_OTHER"
"""The method of everything that is none, as OpenTelemetry's semantic conventions call it."""

# In steps of 1, 2.5 and 5 from what an index lookup takes to the deadline, so that both ends can be told apart.
BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_SUM = len(BOUNDS) + 1
_BYTES = _SUM + 1
_EMPTY = [0.0] * (_BYTES + 1)

# RFC 9110 section 9.3, RFC 5789, and the one that OpenTelemetry's semantic conventions add.
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY"})
"""Those that are told by their names."""
_LABELS = ("method", "route", "status")


class Metrics(Stage):
    """Counts requests, their durations and the bytes of their answers by method, route template and status.

    The status is the code itself, as Prometheus users expect and OpenTelemetry prescribes: 404 and 429, or 500 and 503,
    are different alarms, and `status=~"5.."` adds up a class. What strangers choose freely never becomes a label: a path
    that no route matches, a method that is none, and a WebSocket's close code each share one.

    Nothing is counted down, so nothing can leak: what is in flight is asked of the pipeline when somebody wants to know.
    """

    name: ClassVar[str] = "metrics"
    purpose: ClassVar[str] = "counts, durations and bytes by route template"
    cost: ClassVar[str] = "1 to 5 µs"

    def __init__(self) -> None:
        # One list per label set: the buckets, the sum of seconds, the sum of bytes.
        self._series: dict[tuple[str, str, int], list[float]] = {}
        self._sockets: dict[tuple[str, str], float] = {}

    @override
    def finish(self, exchange: Exchange) -> None:
        scope = exchange.scope
        if scope["type"] == "websocket":
            ended = (exchange.route or UNMATCHED, _outcome(exchange))
            self._sockets[ended] = self._sockets.get(ended, 0) + 1
            return
        route = exchange.route or UNMATCHED
        status = exchange.status or CLIENT_CLOSED_REQUEST
        series = self._series.get((scope["method"], route, status))
        if series is None:
            series = self._new(scope["method"], route, status)
        seconds = exchange.seconds
        series[bisect_left(BOUNDS, seconds)] += 1
        series[_SUM] += seconds
        series[_BYTES] += exchange.sent

    def _new(self, method: str, route: str, status: int) -> list[float]:
        known = method if method in METHODS else OTHER_METHOD
        return self._series.setdefault((known, route, status), list(_EMPTY))

    def families(self, in_flight: Callable[[], Collection[Exchange]]) -> Iterator[Family]:
        """What was counted so far, and what is in flight at this moment. May be called from any thread.

        Args:
            in_flight: The requests and WebSockets that are being served.
        """
        series = {(method, route, str(code)): list(s) for (method, route, code), s in self._series.copy().items()}
        yield Family(
            "http_requests",
            "counter",
            "Requests answered, or left by their client (499).",
            _LABELS,
            values={key: [sum(numbers[:_SUM])] for key, numbers in series.items()},
        )
        yield Family(
            "http_request_duration_seconds",
            "histogram",
            "From the arrival of a request to the end of its answer.",
            _LABELS,
            BOUNDS,
            {key: numbers[:_BYTES] for key, numbers in series.items()},
        )
        yield Family(
            "http_response_body_bytes",
            "counter",
            "Bytes of bodies handed to the server, before it frames them.",
            _LABELS,
            values={key: [numbers[_BYTES]] for key, numbers in series.items()},
        )
        yield Family(
            "websocket_connections",
            "counter",
            "WebSockets that have ended: closed by the server, the client, refused, or ended by a defect.",
            ("route", "outcome"),
            values={key: [number] for key, number in self._sockets.copy().items()},
        )
        yield from _open(list(in_flight()))


def _open(exchanges: list[Exchange]) -> Iterator[Family]:
    # The scrape that asks is left out: a service that does nothing has nothing in flight.
    requests = sum(e.scope["type"] == "http" and e.scope["path"] != METRICS_PATH for e in exchanges)
    sockets = sum(e.scope["type"] == "websocket" and e.status == ACCEPTED for e in exchanges)
    yield single("http_requests_in_flight", "gauge", "Requests being served, without scrapes.", requests)
    yield single("websocket_connections_open", "gauge", "WebSockets whose handshake is done.", sockets)


def _outcome(exchange: Exchange) -> str:
    if exchange.error is not None:
        return "defect"
    if exchange.status != ACCEPTED:
        return "refused"
    return "server" if exchange.complete else "client"
