"""Gives every request a name."""

import re
from typing import override

from mainspring.http._exchange import Exchange, HeaderList, Reply
from mainspring.http._pipeline import Stage
from mainspring.observability import new_trace_id

# Long enough for every id scheme in use, and nothing that could break a log line or a header.
_WELL_FORMED = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._:/+=@-]{7,127}")
_NAMES = (b"x-request-id", b"x-correlation-id")


class RequestId(Stage):
    """Takes a well-formed `X-Request-ID` or `X-Correlation-ID`, makes one otherwise, and returns it to the client.

    An id that is too short, too long or holds odd characters is replaced, not refused: it names the request for the
    caller's convenience, and a bad name is no reason to fail.
    """

    name = "request-id"
    purpose = "accepts or makes X-Request-ID; on every log line and answer"
    cost = "1 to 5 µs"

    @override
    def request(self, exchange: Exchange) -> Reply | None:
        for name in _NAMES:
            given = exchange.header(name)
            if given is not None and _WELL_FORMED.fullmatch(given):
                exchange.log.request_id = given.decode("ascii")
                return None
        # Of a trace id's form (W3C Trace Context, level 2), so that one name serves for both.
        exchange.log.request_id = exchange.log.trace_id = new_trace_id()
        return None

    @override
    def response(self, exchange: Exchange, headers: HeaderList) -> None:
        headers.append((b"x-request-id", exchange.log.request_id.encode("ascii")))
