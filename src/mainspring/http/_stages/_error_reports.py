"""Tells of defects."""

from typing import override

from mainspring.http._exchange import Exchange
from mainspring.http._pipeline import Stage
from mainspring.observability import ErrorReports


class ErrorReporting(Stage):
    """Reports what no handler took, once, with the request's ids and the template of its route.

    Args:
        reports: Where to.
    """

    name = "error-reports"
    purpose = "defects to Sentry, scrubbed, with the request id"
    cost = "under 1 µs"

    def __init__(self, reports: ErrorReports) -> None:
        self._reports = reports

    @override
    def finish(self, exchange: Exchange) -> None:
        if exchange.error is not None:
            # Without a route there is no handler that could fail; the path would be one group per id.
            transaction = f"{exchange.method} {exchange.route or '(no route)'}"
            self._reports.report(exchange.error, context=exchange.log, transaction=transaction)
