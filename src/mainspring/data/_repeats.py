"""Tells about queries per row while a service is developed."""

from contextlib import AbstractContextManager
from typing import override

from mainspring.http import Exchange, HeaderList, Reply, Stage
from mainspring.observability import get_logger

from ._queries import ADVICE, MOST_REPEATS, Queries, record_queries

_log = get_logger(__name__)


class RepeatedQueries(Stage):
    """Warns when one line sends the same statement too often in one request: a query for each row of a list.

    For development; it looks at the stack for every statement. A stream is watched until it begins: what it asks for
    again and again after that, it does on purpose. WebSockets are not watched.

    Args:
        most: How often one line may send the same statement.
    """

    name = "repeated-queries"
    purpose = "a warning when one line sends the same statement for each row; in development"
    cost = "1 to 5 µs, and about 10 µs per statement"

    def __init__(self, most: int = MOST_REPEATS) -> None:
        self._most = most
        self._open: dict[Exchange, tuple[AbstractContextManager[Queries], Queries]] = {}
        self._begun: dict[Exchange, int] = {}

    @override
    def request(self, exchange: Exchange) -> Reply | None:
        if exchange.scope["type"] == "http":
            block = record_queries()
            self._open[exchange] = (block, block.__enter__())
        return None

    @override
    def response(self, exchange: Exchange, headers: HeaderList) -> None:
        if exchange in self._open:
            self._begun[exchange] = len(self._open[exchange][1])

    @override
    def finish(self, exchange: Exchange) -> None:
        block, queries = self._open.pop(exchange, (None, Queries()))
        begun = self._begun.pop(exchange, None)
        if block is not None:
            block.__exit__(None, None, None)
        for times, sql, place in Queries(queries[:begun]).repeats(self._most):
            _log.warning(
                "The same statement again and again in one request",
                method=exchange.method,
                route=exchange.route,
                times=times,
                where=place,
                sql=sql,
                advice=ADVICE,
            )
