"""Requests to other services, as part of the trace."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from ._tracing import begin_call, current_traceparent

if TYPE_CHECKING:
    from httpx2 import Request, Response


async def send_traced(send: "Callable[..., Awaitable[Response]]", request: "Request", **options: Any) -> "Response":
    """Send a request with `traceparent`, and with a span of its own where the running work is traced.

    The span ends when the response begins. Its URL has neither credentials nor query string.

    Args:
        send: `httpx2.AsyncClient.send`, bound.
        request: What to send.
        options: Handed on.
    """
    url = request.url
    where = f"{url.scheme}://{url.netloc.decode('ascii')}{url.path}"
    attributes = {"http.request.method": request.method, "server.address": url.host, "url.full": where}
    call = begin_call(request.method, attributes)
    traceparent = call.traceparent if call is not None else current_traceparent()
    if traceparent is not None:
        request.headers.setdefault("traceparent", traceparent)
    if call is None:
        return await send(request, **options)
    try:
        response = await send(request, **options)
    except BaseException as error:
        call.end(error)
        raise
    status = response.status_code
    # To a client a refusal is a failure too (conventions for HTTP clients).
    call.end(str(status) if status >= 400 else None, {"http.response.status_code": status})
    return response
