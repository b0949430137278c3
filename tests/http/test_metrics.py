"""Requests are counted by route, and nothing that a stranger chooses becomes a label."""

import random
import string
import sys
import time
from contextlib import contextmanager

import pytest
from fastapi import APIRouter, FastAPI, WebSocket
from starlette.responses import PlainTextResponse
from starlette.staticfiles import StaticFiles

from mainspring.http import Exchange, Metrics, TrustedHosts

from .conftest import call, hello, scope_of


def counted(stage, name="http_requests"):
    """By labels: the number, or a histogram's buckets and sum."""
    (family,) = [family for family in stage.families(list) if family.name == name]
    return {key: numbers[0] if len(numbers) == 1 else numbers for key, numbers in family.values.items()}


def stage_of(app) -> Metrics:
    (stage,) = [stage for stage in app.stages if isinstance(stage, Metrics)]
    return stage


@contextmanager
def untraced():
    """Coverage's own time per line is not the stage's."""
    tracer = sys.gettrace()
    sys.settrace(None)
    try:
        yield
    finally:
        sys.settrace(tracer)


@pytest.fixture
def shop(compose):
    router = APIRouter()

    @router.get("/things/{id}")
    async def thing(id: int) -> int:  # noqa: A002 -- the parameter of the path
        return id

    return compose(router)()


class TestCounting:
    async def test_a_request_is_counted_by_method_template_and_status(self, shop):
        for number in range(3):
            await call(shop, scope_of(f"/api/v1/things/{number}"))
        await call(shop, scope_of("/api/v1/things/1", method="DELETE"))

        assert counted(stage_of(shop)) == {
            ("GET", "/api/v1/things/{id}", "200"): 3,
            ("DELETE", "/api/v1/things/{id}", "405"): 1,
        }

    async def test_its_duration_falls_into_one_bucket_and_its_bytes_are_added_up(self, behind):
        stage = Metrics()
        served = behind(stage)
        for _ in range(2):
            await call(served, scope_of("/"))

        (numbers,) = counted(stage, "http_request_duration_seconds").values()
        *buckets, seconds = numbers
        assert sum(buckets) == 2
        assert 0 < seconds < 1
        assert list(counted(stage, "http_response_body_bytes").values()) == [2 * len("hello")]

    async def test_a_client_that_left_before_the_answer_is_a_499(self, behind):
        async def silent(scope, receive, send): ...

        stage = Metrics()
        await call(behind(stage, app=silent), scope_of("/"))

        assert counted(stage) == {("GET", "<unmatched>", "499"): 1}

    async def test_a_defect_and_what_a_stage_refuses_are_counted_too(self, behind):
        async def broken(scope, receive, send):
            raise RuntimeError

        stage = Metrics()
        served = behind(stage, TrustedHosts(["shop.example.com"]), app=broken)
        await call(served, scope_of("/", headers=[("Host", "evil.example.com")]))
        await call(served, scope_of("/", headers=[("Host", "shop.example.com")]))

        assert counted(stage) == {("GET", "<unmatched>", "400"): 1, ("GET", "<unmatched>", "500"): 1}

    async def test_it_costs_less_than_two_microseconds(self):
        stage = Metrics()

        async def send(message): ...

        exchange = Exchange(scope_of("/things/1"), send)
        exchange.template, exchange.status = "/things/{id}", 200
        with untraced():
            took = []
            for _ in range(20):
                began = time.perf_counter()
                for _ in range(1000):
                    stage.finish(exchange)
                took.append((time.perf_counter() - began) / 1000)

        assert min(took) < 2e-6


class TestLabelsAreBounded:
    async def test_ten_thousand_random_paths_add_one_label_set(self, shop):
        chance = random.Random(7)
        await call(shop, scope_of("/api/v1/things/1"))
        before = set(counted(stage_of(shop)))
        for _ in range(10_000):
            path = "/" + "".join(chance.choices(string.ascii_letters + "/._-", k=20))
            await call(shop, scope_of(path))

        assert set(counted(stage_of(shop))) - before == {("GET", "<unmatched>", "404")}

    async def test_methods_that_are_none_share_one_label_set(self, shop):
        for number in range(500):
            await call(shop, scope_of("/nothing", method=f"BREW{number}"))
        await call(shop, scope_of("/nothing", method="get"))

        assert counted(stage_of(shop)) == {("_OTHER", "<unmatched>", "404"): 501}

    async def test_what_is_mounted_is_counted_under_its_mount(self, shop, tmp_path):
        inner = FastAPI()

        @inner.get("/items/{id}")
        async def item(id: int) -> int:  # noqa: A002 -- the parameter of the path
            return id

        async def plain(scope, receive, send):
            await PlainTextResponse("plain")(scope, receive, send)

        shop.mount("/static", StaticFiles(directory=tmp_path))
        shop.mount("/inner", inner)
        shop.mount("/tenants/{tenant}", inner)
        shop.mount("/plain", plain)
        for number in range(5):
            for path in ("/static/{}.css", "/inner/items/{}", "/inner/{}/x", "/tenants/{}/items/{}", "/plain/{}"):
                await call(shop, scope_of(path.format(number, number)))

        assert counted(stage_of(shop)) == {
            ("GET", "/static/{path}", "404"): 5,
            ("GET", "/inner/items/{id}", "200"): 5,
            ("GET", "/inner/{path}", "404"): 5,
            ("GET", "/tenants/{tenant}/items/{id}", "200"): 5,
            ("GET", "/plain/{path}", "200"): 5,
        }


class TestWebSockets:
    async def talk(self, compose, endpoint):
        router = APIRouter()
        router.add_api_websocket_route("/rooms/{room}", endpoint)
        app = compose(router)()
        messages = iter([{"type": "websocket.connect"}, {"type": "websocket.disconnect", "code": 4711}])

        async def receive():
            return next(messages)

        async def send(message): ...

        scope = scope_of("/api/v1/rooms/7", kind="websocket", scheme="ws") | {"subprotocols": []}
        await app(scope, receive, send)
        return counted(stage_of(app), "websocket_connections")

    async def test_one_that_its_client_leaves(self, compose):
        async def endpoint(socket: WebSocket, room: str):
            await socket.accept()
            await socket.receive_text()

        assert await self.talk(compose, endpoint) == {("/api/v1/rooms/{room}", "client"): 1}

    async def test_one_that_the_server_closes(self, compose):
        async def endpoint(socket: WebSocket, room: str):
            await socket.accept()
            await socket.close()

        assert await self.talk(compose, endpoint) == {("/api/v1/rooms/{room}", "server"): 1}

    async def test_one_that_is_refused(self, compose):
        async def endpoint(socket: WebSocket, room: str):
            await socket.close()

        assert await self.talk(compose, endpoint) == {("/api/v1/rooms/{room}", "refused"): 1}

    async def test_one_that_ends_in_a_defect(self, compose):
        async def endpoint(socket: WebSocket, room: str):
            await socket.accept()
            raise RuntimeError

        assert await self.talk(compose, endpoint) == {("/api/v1/rooms/{room}", "defect"): 1}


class TestInFlight:
    async def test_it_is_asked_of_the_pipeline_and_not_counted(self, behind):
        stage = Metrics()
        seen = []

        def told():
            return {
                family.name: family.values[()][0]
                for family in stage.families(lambda: served.in_flight)
                if family.values.keys() == {()}
            }

        async def asks(scope, receive, send):
            seen.append(told())
            await hello(scope, receive, send)

        served = behind(stage, app=asks)
        await call(served, scope_of("/"))

        assert seen == [{"http_requests_in_flight": 1, "websocket_connections_open": 0}]
        assert told() == {"http_requests_in_flight": 0, "websocket_connections_open": 0}

    async def test_the_scrape_that_asks_is_left_out(self, behind):
        async def send(message): ...

        scrape = Exchange(scope_of("/metrics"), send)
        told = {family.name: family.values for family in Metrics().families(lambda: {scrape})}

        assert told["http_requests_in_flight"] == {(): [0]}
