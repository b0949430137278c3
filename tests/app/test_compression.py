"""Responses are compressed where no proxy does it."""

import gzip

import httpx2
import pytest
from fastapi import APIRouter
from fastapi.responses import StreamingResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent

from mainspring.kernel import Module

TEXT = "The same again. " * 200


def module():
    router = APIRouter()

    @router.get("/large")
    async def large() -> str:
        return TEXT

    @router.get("/small")
    async def small() -> str:
        return "small"

    @router.get("/events", response_class=EventSourceResponse)
    async def events():
        for _ in range(3):
            yield ServerSentEvent(data=TEXT)

    @router.get("/lines")
    async def lines() -> StreamingResponse:
        return StreamingResponse(iter([f"{TEXT}\n"] * 3), media_type="application/x-ndjson")

    return Module(name="texts", routers=(router,))


@pytest.fixture
def get(compose_service):
    async def get(path, *, accepts="gzip", **settings):
        app = compose_service(module(), api_prefix="", **settings)
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://testserver") as client:
            async with client.stream("GET", path, headers={"accept-encoding": accepts}) as answer:
                raw = b"".join([chunk async for chunk in answer.aiter_raw()])
            return answer.headers, raw

    return get


async def test_a_large_body_is_compressed_and_caches_are_told(get):
    headers, raw = await get("/large")

    assert headers["content-encoding"] == "gzip"
    assert "accept-encoding" in headers["vary"].lower()
    assert int(headers["content-length"]) == len(raw) < len(TEXT) / 10
    assert gzip.decompress(raw).decode() == f'"{TEXT}"'


@pytest.mark.parametrize(
    ("path", "accepts"), [("/small", "gzip"), ("/large", "identity"), ("/events", "gzip"), ("/lines", "gzip")]
)
async def test_small_bodies_streams_of_items_and_clients_that_cannot_are_left_alone(get, path, accepts):
    headers, raw = await get(path, accepts=accepts)

    assert "content-encoding" not in headers
    assert b"small" in raw or TEXT.encode() in raw


async def test_behind_a_trusted_proxy_it_is_left_to_the_proxy_unless_asked_for(get):
    behind = await get("/large", trusted_proxies="10.0.0.0/8")
    asked = await get("/large", trusted_proxies="10.0.0.0/8", compress_responses=True)
    never = await get("/large", compress_responses=False)

    assert ["content-encoding" in headers for headers, _ in (behind, asked, never)] == [False, True, False]
