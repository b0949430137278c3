"""Calls to other services."""

from typing import Any, override

import httpx2

from mainspring.observability import send_traced


class Client(httpx2.AsyncClient):
    """`httpx2.AsyncClient` whose requests are part of the trace: each has a span, and carries `traceparent`."""

    @override
    async def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        return await send_traced(super().send, request, **options)
