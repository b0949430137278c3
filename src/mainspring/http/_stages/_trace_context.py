"""Names the trace that a request is part of (W3C Trace Context, level 2)."""

import re
from typing import override

from mainspring.http._exchange import Exchange, Reply
from mainspring.http._pipeline import Stage

# version 00 or a later one that begins alike; an all-zero id is invalid by the specification (section 3.2.2.3).
_TRACEPARENT = re.compile(rb"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?")
_TRACE_ID = re.compile(r"(?!0{32})[0-9a-f]{32}")


class TraceContext(Stage):
    """Takes the caller's trace id from `traceparent`; a request without one begins a trace of its own.

    A header that is malformed is ignored, as the specification asks (section 4.3): the trace is begun anew.
    """

    name = "trace-context"
    purpose = "trace id from traceparent, or a new one; on every log line"
    cost = "under 1 µs"

    @override
    def request(self, exchange: Exchange) -> Reply | None:
        given = exchange.header(b"traceparent")
        if given is not None and (match := _TRACEPARENT.fullmatch(given)) is not None:
            exchange.log.trace_id = match[1].decode("ascii")
        elif _TRACE_ID.fullmatch(exchange.log.request_id):
            # Our own request ids are of a trace id's form, so one name serves for both.
            exchange.log.trace_id = exchange.log.request_id
        return None
