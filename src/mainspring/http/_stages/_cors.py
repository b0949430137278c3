"""Lets named origins' pages call the API (the Fetch standard's CORS protocol)."""

from collections.abc import Iterable
from typing import override

from mainspring.http._exchange import Exchange, HeaderList, Reply
from mainspring.http._pipeline import Stage

_METHODS = b"GET, HEAD, POST, PUT, PATCH, DELETE"
_EXPOSED = b"X-Request-ID, ETag, Location, Retry-After, RateLimit, RateLimit-Policy"
_ALLOWED_HEADERS = (
    b"Accept, Accept-Language, Authorization, Content-Language, Content-Type, Idempotency-Key, If-Match, If-None-Match, "
    b"Last-Event-ID, X-Correlation-ID, X-CSRF-Token, X-Request-ID"
)
_PREFLIGHT_SECONDS = b"600"


class Cors(Stage):
    """Answers preflight requests and marks responses for allowed origins, errors included.

    Args:
        origins: `https://app.example.com`, or `*` for every origin.
        credentials: Let pages send cookies.

    Raises:
        ValueError: `*` with credentials: every website could act as the signed-in user.
    """

    name = "cors"
    purpose = "lets the allowed origins call the API; errors carry the headers too"
    cost = "1 to 5 µs"

    def __init__(self, origins: Iterable[str], *, credentials: bool) -> None:
        self._origins = frozenset(origin.rstrip("/").lower().encode() for origin in origins)
        self._any = b"*" in self._origins
        if self._any and credentials:
            raise ValueError(
                "CORS: `*` with credentials lets every website act as the signed-in user; name the origins."
            )
        self._credentials = credentials

    @override
    def request(self, exchange: Exchange) -> Reply | None:
        if exchange.scope.get("method") != "OPTIONS" or exchange.header(b"access-control-request-method") is None:
            return None
        if exchange.header(b"origin") is None:
            return None
        # The origin headers are added by `response`; a stranger's preflight gets none, and its browser stops there.
        return Reply(
            204,
            (
                (b"access-control-allow-methods", _METHODS),
                (b"access-control-allow-headers", _ALLOWED_HEADERS),
                (b"access-control-max-age", _PREFLIGHT_SECONDS),
            ),
        )

    @override
    def response(self, exchange: Exchange, headers: HeaderList) -> None:
        if not self._any:
            # Also without an Origin: a cache must not hand that answer to a page that has one.
            headers.append((b"vary", b"Origin"))
        origin = exchange.header(b"origin")
        if origin is None or not (self._any or origin.lower() in self._origins):
            return
        headers.append((b"access-control-allow-origin", b"*" if self._any else origin))
        headers.append((b"access-control-expose-headers", _EXPOSED))
        if self._credentials:
            headers.append((b"access-control-allow-credentials", b"true"))
