"""Calls to other services."""

from typing import Any, override

import httpx2

from mainspring.observability import begin_call, current_traceparent


class Client(httpx2.AsyncClient):
    """`httpx2.AsyncClient` whose requests are part of the trace: each has a span, and carries `traceparent`.

    The span ends when the response begins. Its URL has neither credentials nor query string.
    """

    @override
    async def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        url = request.url
        attributes: dict[str, Any] = {
            "http.request.method": request.method,
            "server.address": url.host,
            "url.full": f"{url.scheme}://{url.netloc.decode('ascii')}{url.path}",
        }
        if url.port is not None:
            attributes["server.port"] = url.port
        call = begin_call(request.method, attributes)
        traceparent = call.traceparent if call is not None else current_traceparent()
        if traceparent is not None:
            request.headers.setdefault("traceparent", traceparent)
        try:
            response = await super().send(request, **options)
        except BaseException as error:
            if call is not None:
                call.end(error)
            raise
        if call is not None:
            status = response.status_code
            # To a client a refusal is a failure too (conventions for HTTP clients).
            call.end(str(status) if status >= 400 else None, {"http.response.status_code": status})
        return response
