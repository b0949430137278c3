"""Health, errors and documentation of a running service: true, cheap, discreet."""

import asyncio
import re
import time
from contextlib import asynccontextmanager

import httpx2
import pytest

from mainspring.errors import Conflict, catalogue
from mainspring.kernel import Module, Resource


class Cache:
    """A resource of a test, well or not."""

    def __init__(self):
        self.error = None
        self.pings = 0
        self.answer = asyncio.Event()
        self.answer.set()

    async def ping(self):
        self.pings += 1
        await self.answer.wait()
        if self.error is not None:
            raise self.error


def resource(cache, **options):
    async def make(_):
        return cache

    return Resource(provides=Cache, make=make, ping=Cache.ping, **{"name": "cache"} | options)


@asynccontextmanager
async def client_of(app, host="testserver"):
    transport = httpx2.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=transport, base_url=f"http://{host}") as client,
    ):
        yield client


class TestReadiness:
    async def test_probes_at_the_same_moment_share_one_ping_and_its_answer(self, compose_service):
        cache = Cache()
        cache.answer.clear()
        async with client_of(compose_service(resources=[resource(cache)])) as client:
            probes = [asyncio.create_task(client.get("/health/ready")) for _ in range(20)]
            while cache.pings == 0:
                await asyncio.sleep(0)
            for _ in range(20):
                await asyncio.sleep(0)
            cache.answer.set()
            answers = await asyncio.gather(*probes)

        assert cache.pings == 1
        assert {answer.status_code for answer in answers} == {200}

    async def test_a_probe_that_gives_up_does_not_spoil_the_others(self, compose_service):
        cache = Cache()
        cache.answer.clear()
        async with client_of(compose_service(resources=[resource(cache)])) as client:
            impatient = asyncio.create_task(client.get("/health/ready"))
            patient = asyncio.create_task(client.get("/health/ready"))
            while cache.pings == 0:
                await asyncio.sleep(0)
            impatient.cancel()
            cache.answer.set()

            assert (await patient).json()["status"] == "ready"

    async def test_the_answer_is_kept_for_a_second_and_no_longer(self, compose_service):
        cache = Cache()
        async with client_of(compose_service(resources=[resource(cache)])) as client:
            assert (await client.get("/health/ready")).status_code == 200
            began = time.monotonic()
            cache.error = OSError()
            asked = 0
            async with asyncio.timeout(10):
                while (await client.get("/health/ready")).status_code == 200:
                    asked += 1
                    await asyncio.sleep(0.05)

        assert asked > 1
        assert 0.9 < time.monotonic() - began < 5
        assert cache.pings == 2

    @pytest.mark.parametrize(
        "error", [OSError("cache-7.internal:6379 refused"), RuntimeError("password hunter2"), TimeoutError()]
    )
    async def test_why_something_is_down_is_not_for_strangers(self, compose_service, error):
        cache = Cache()
        cache.error = error
        async with client_of(compose_service(resources=[resource(cache)])) as client:
            answer = await client.get("/health/ready")

        assert answer.status_code == 503
        assert answer.json() == {"status": "not_ready", "checks": {"database": "up", "cache": "down"}}

    async def test_an_optional_resource_that_never_came_up_is_told_as_degraded(self, compose_service, caplog):
        async def fails(_):
            raise OSError("cache-7.internal refused")

        optional = Resource(provides=Cache, name="cache", make=fails, required=False, advice="Start it.")
        async with client_of(compose_service(resources=[optional])) as client:
            answer = await client.get("/health/ready")

        assert (answer.status_code, answer.json()["status"]) == (200, "degraded")
        assert answer.json()["checks"]["cache"] == "degraded"
        assert "Start it." in caplog.text

    async def test_down_outweighs_degraded(self, compose_service):
        class Other(Cache):
            pass

        needed, nice = Cache(), Other()
        needed.error = nice.error = OSError()

        async def make(_):
            return nice

        optional = Resource(provides=Other, name="nice", make=make, ping=Cache.ping, required=False)
        async with client_of(compose_service(resources=[resource(needed), optional])) as client:
            answer = await client.get("/health/ready")

        assert (answer.status_code, answer.json()["status"]) == (503, "not_ready")

    async def test_before_the_service_runs_nothing_is_ready_and_it_is_alive(self, compose_service):
        transport = httpx2.ASGITransport(compose_service(resources=[resource(Cache())]))
        async with httpx2.AsyncClient(transport=transport, base_url="http://testserver") as client:
            assert (await client.get("/health/ready")).status_code == 503
            assert (await client.get("/health/live")).status_code == 200


class TestLiveness:
    async def test_it_asks_nobody(self, compose_service):
        cache = Cache()
        async with client_of(compose_service(resources=[resource(cache)])) as client:
            for path in ("/health/live", "/health/liveness", "/health"):
                assert (await client.get(path)).status_code == 200

        assert cache.pings == 0

    async def test_probes_are_answered_under_any_name_and_nothing_else_is(self, compose_service):
        async with client_of(compose_service(allowed_hosts="shop.example.com"), host="10.1.2.3:8000") as client:
            for path in ("/health", "/health/live", "/health/ready", "/health/startup"):
                assert (await client.get(path)).status_code == 200
            assert (await client.get("/errors")).status_code == 400


class TestErrors:
    async def test_every_code_is_listed_with_all_that_clients_may_rely_on(self, compose_service):
        class SoldOut(Conflict):
            """Nothing is left."""

            code = "SOLD_OUT"
            title = "Sold out"

        async with client_of(compose_service(Module(name="m", errors=(SoldOut,)))) as client:
            listed = {entry["code"]: entry for entry in (await client.get("/errors")).json()}

        assert listed["SOLD_OUT"] == {
            "code": "SOLD_OUT",
            "status": 409,
            "title": "Sold out",
            "retryable": False,
            "description": "Nothing is left.",
        }
        assert set(listed) == {entry.code for entry in catalogue()} | {"SOLD_OUT"}


class TestDocs:
    @pytest.mark.parametrize("path", ["/docs", "/docs/start.js"])
    async def test_nothing_is_loaded_from_elsewhere(self, compose_service, path):
        async with client_of(compose_service()) as client:
            answer = await client.get(path)

        assert answer.status_code == 200
        assert not re.search(r"(?:https?:)?//\w", answer.text)

    @pytest.mark.parametrize("below", ["", "/shop"])
    async def test_the_page_finds_its_files_also_behind_a_proxy_that_serves_it_under_a_path(
        self, compose_service, below
    ):
        app = compose_service()
        async with client_of(app) as client:
            page = await client.get("/docs")
            assert re.findall(r'(?:src|href)="([^"]+)"', page.text)
            for address in re.findall(r'(?:src|href)="([^"]+)"', page.text):
                seen_by_browser = httpx2.URL(f"http://testserver{below}/docs").join(address)
                assert seen_by_browser.path.startswith(f"{below}/docs/")
                answer = await client.get(seen_by_browser.path.removeprefix(below))
                assert answer.status_code == 200
                assert answer.headers["content-type"].startswith(("text/css", "text/javascript"))
            start = httpx2.URL(f"http://testserver{below}/docs/start.js")
            assert '"../openapi.json"' in (await client.get("/docs/start.js")).text
            assert start.join("../openapi.json").path == f"{below}/openapi.json"

    async def test_the_policy_lets_no_foreign_script_run(self, compose_service):
        async with client_of(compose_service()) as client:
            policy = (await client.get("/docs")).headers.get_list("content-security-policy")

        assert len(policy) == 1
        assert "default-src 'self'" in policy[0]
        assert "script-src" not in policy[0]

    async def test_the_name_of_a_service_is_text(self, tmp_path):
        from mainspring.app import create_app
        from mainspring.settings import Settings

        app = create_app("<script>alert(1)", settings=Settings(database_url=f"sqlite:///{tmp_path}/t.db"))
        async with client_of(app) as client:
            assert "<script>alert" not in (await client.get("/docs")).text

    @pytest.mark.parametrize(
        ("values", "status"), [({}, 404), ({"enable_docs": True, "allow_in_production": "docs,any-host"}, 200)]
    )
    async def test_in_production_there_is_none_unless_somebody_wants_it(self, compose_service, values, status):
        app = compose_service(
            environment="production",
            secret_key="q8s7dJ2kLp0VbX4nT6yR1wZ3mC5hF9aEuGiKoNqS",
            **{"allow_in_production": "any-host"} | values,
        )
        async with client_of(app) as client:
            for path in ("/docs", "/docs/start.js", "/docs/swagger-ui-bundle.js", "/openapi.json"):
                assert (await client.get(path)).status_code == status
            assert (await client.get("/redoc")).status_code == 404
