"""One structured line per request."""

import logging
from typing import override

from mainspring.http._exchange import Exchange
from mainspring.http._pipeline import Stage
from mainspring.observability import write_access

from ._probes import is_probe

# nginx's code for "the client closed the connection before the answer": no standard status says so.
CLIENT_CLOSED_REQUEST = 499
"""Told as the status of a request whose client left before the answer began."""


class AccessLog(Stage):
    """Writes method, path, route, status, duration, size and client when the exchange is over.

    Probes are written at DEBUG: they come every few seconds and tell nothing. The query string is left out: it is
    where tokens and personal data end up.
    """

    name = "access-log"
    purpose = "one structured line per request"
    cost = "5 to 10 µs"

    @override
    def finish(self, exchange: Exchange) -> None:
        scope = exchange.scope
        path = scope["path"]
        status = exchange.status or CLIENT_CLOSED_REQUEST
        if status >= 500:
            level = logging.ERROR
        elif is_probe(path):
            level = logging.DEBUG
        else:
            level = logging.INFO
        method = exchange.method
        fields = {
            "method": method,
            "path": path,
            "route": exchange.route,
            "status": status,
            "duration_ms": round(exchange.seconds * 1000, 2),
            "bytes": exchange.sent,
            "client": exchange.client,
            "complete": exchange.complete,
        }
        write_access(level, f"{method} {path} {status}", context=exchange.log, fields=fields)
