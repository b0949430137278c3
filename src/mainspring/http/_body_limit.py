"""Spares requests that have no body FastAPI's limit on bodies."""

from collections.abc import Awaitable

from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from ._exchange import exchange_of


class BodyLimit:
    """Takes a request without a body past the limit, whose wrappers cost every request several microseconds.

    HTTP/1.1 announces each body (RFC 9112 section 6.3): where neither Content-Length nor Transfer-Encoding is given,
    there is none. Other versions need not announce it, so under them the limit is asked always.

    Args:
        stack: An application whose outermost middlewares hold FastAPI's limit; one without it is used as it is.
    """

    def __init__(self, stack: ASGIApp) -> None:
        self._limited = stack
        self._unlimited = _within_limit(stack)

    # Not a coroutine of its own, which would be one more to step through on each way in and out.
    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Serve one ASGI scope."""
        return (self._unlimited if _has_no_body(scope) else self._limited)(scope, receive, send)


def _has_no_body(scope: Scope) -> bool:
    exchange = exchange_of(scope)
    if exchange is None or scope["type"] != "http" or not scope["http_version"].startswith("1"):
        return False
    return exchange.header(b"content-length") is None and exchange.header(b"transfer-encoding") is None


def _within_limit(stack: ASGIApp) -> ASGIApp:
    layer: ASGIApp | None = stack
    while layer is not None:
        if isinstance(layer, RequestBodyLimitMiddleware):
            return layer.app
        layer = getattr(layer, "app", None)
    return stack
