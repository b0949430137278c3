"""Names the trace that a request is part of (W3C Trace Context, level 2)."""

import re
from typing import override

from mainspring.http._exchange import Exchange, Reply
from mainspring.http._pipeline import Stage
from mainspring.observability import TraceParent, parse_traceparent

_TRACE_ID = re.compile(r"(?!0{32})[0-9a-f]{32}")


class TraceContext(Stage):
    """Takes the caller's trace id from `traceparent`, or the request id where that has the form of one, as ours have.

    A header that is malformed is ignored, as the specification asks (section 4.3): the trace is begun anew.
    """

    name = "trace-context"
    purpose = "trace id from traceparent, or the request id if it is of that form"
    cost = "under 1 µs"

    @override
    def request(self, exchange: Exchange) -> Reply | None:
        join(exchange)
        return None


def join(exchange: Exchange) -> TraceParent | None:
    """Note the trace of a request, and give what its caller says of it."""
    log = exchange.log
    given = exchange.header(b"traceparent")
    if given is not None and (parent := parse_traceparent(given.decode("latin-1"))) is not None:
        log.trace_id = parent.trace_id
        return parent
    if log.trace_id is None and _TRACE_ID.fullmatch(log.request_id):
        # An id that the caller has made as we make ours.
        log.trace_id = log.request_id
    return None
