"""create_app composes a service, or says in one report why it cannot."""

import asyncio
import subprocess
import sys

import httpx2
import pytest
from fastapi import APIRouter, FastAPI

from mainspring.accounts import AccountsSettings, accounts_module
from mainspring.app import composition_of, create_app
from mainspring.data import Database
from mainspring.errors import MainspringError
from mainspring.kernel import Clock, FrozenClock, Module, Resource, ResourceFailed
from mainspring.observability import current_context
from mainspring.settings import BootError, Settings

router = APIRouter(prefix="/things", tags=["things"])


@router.get("/{thing_id}")
async def read_thing(thing_id: int) -> int:
    return thing_id


@router.get("/broken/down")
async def broken() -> None:
    raise RuntimeError("internals")


THINGS = Module(name="things", summary="Things", routers=(router,))


class Cache:
    """A resource of a test."""


def cache(make=None, **options):
    async def fine(_):
        return Cache()

    return Resource(provides=Cache, make=make or fine, **{"name": "cache"} | options)


async def asked(app, path, *, method="GET", **options):
    transport = httpx2.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=transport, base_url="http://testserver") as client,
    ):
        return await client.request(method, path, **options)


class TestComposing:
    async def test_the_result_is_a_fastapi_application_with_the_modules_routes_under_the_prefix(self, compose_service):
        app = compose_service(THINGS)

        assert isinstance(app, FastAPI)
        assert (await asked(app, "/api/v1/things/7")).json() == 7

    async def test_another_prefix_moves_the_routes(self, compose_service):
        app = compose_service(THINGS, api_prefix="/v2")

        assert (await asked(app, "/v2/things/7")).json() == 7

    def test_composing_opens_nothing(self, compose_service, tmp_path):
        compose_service(THINGS)

        assert list(tmp_path.iterdir()) == []

    def test_every_misfit_is_in_one_report(self, compose_service):
        twin = type("Twin", (MainspringError,), {"code": "CONFLICT"})
        needy = Module(name="needy", settings=AccountsSettings, errors=(twin,), resources=(cache(needs=(Clock, dict)),))

        with pytest.raises(BootError) as refused:
            compose_service(THINGS, THINGS, needy, database_url="mysql://db/shop")

        report = {problem.key: problem.message for problem in refused.value.problems}
        assert set(report) == {"module things", "module needy", "errors", "database_url", "resources"}
        assert "AccountsSettings" in report["module needy"]
        assert "'cache' needs dict" in report["resources"]

    def test_a_module_finds_its_settings_by_inheritance(self, tmp_path):
        settings = AccountsSettings(database_url=f"sqlite:///{tmp_path}/test.db")

        create_app("shop", settings=settings, modules=[accounts_module(settings, issuer="shop")])

    def test_importing_the_area_opens_nothing_and_reads_no_setting(self, tmp_path):
        done = subprocess.run(
            [sys.executable, "-c", "import mainspring.app, os; print(os.listdir())"],
            cwd=tmp_path,
            env={"ENVIRONMENT": "nonsense", "PATH": ""},
            capture_output=True,
            text=True,
            check=True,
        )

        assert done.stdout.strip() == "[]"


class TestOverrides:
    async def test_a_resource_that_is_handed_in_takes_the_place_of_the_chassis_own_and_of_a_modules(
        self, compose_service
    ):
        mine, clock = Cache(), FrozenClock.__new__(FrozenClock)

        async def make(_):
            return mine

        async def make_clock(_):
            return clock

        brought = Module(name="cached", resources=(cache(),))
        given = [cache(make), Resource(provides=Clock, name="clock", make=make_clock)]
        app = compose_service(brought, resources=given)

        async with app.router.lifespan_context(app):
            assert app.registry.get(Cache) is mine
            assert app.registry.get(Clock) is clock

    def test_two_modules_that_bring_the_same_are_a_misfit(self, compose_service):
        with pytest.raises(BootError, match="Cache is provided twice"):
            compose_service(Module(name="a", resources=(cache(),)), Module(name="b", resources=(cache(name="b"),)))


class TestStarting:
    async def test_a_required_resource_that_fails_stops_the_start_and_closes_the_others(self, compose_service):
        closed = []

        async def fails(_):
            raise OSError("refused")

        async def close(_):
            closed.append("queue")

        async def fine(_):
            return []

        queue = Resource(provides=list, name="queue", make=fine, close=close)
        app = compose_service(resources=[queue, cache(fails, needs=(list,), advice="Start it.")])

        with pytest.raises(ResourceFailed, match=r"'cache' could not start: OSError: refused\. Start it\."):
            async with app.router.lifespan_context(app):
                pass
        assert closed == ["queue"]

    async def test_outside_production_pending_migrations_are_applied(self, tmp_path):
        settings = AccountsSettings(environment="test", database_url=f"sqlite:///{tmp_path}/test.db")
        app = create_app("shop", settings=settings, modules=[accounts_module(settings, issuer="shop")])

        answer = await asked(app, "/api/v1/users/me")

        assert answer.status_code == 401

    async def test_in_production_pending_migrations_stop_the_start_with_the_command_to_run(self, tmp_path):
        settings = AccountsSettings(
            environment="production",
            secret_key="q8s7dJ2kLp0VbX4nT6yR1wZ3mC5hF9aEuGiKoNqS",
            allowed_hosts="testserver",
            database_url=f"sqlite:///{tmp_path}/test.db",
            allow_in_production="caught-mail",
        )
        app = create_app("shop", settings=settings, modules=[accounts_module(settings, issuer="shop")])

        with pytest.raises(BootError, match="mainspring db upgrade"):
            async with app.router.lifespan_context(app):
                pass


class TestAnswering:
    async def test_a_defect_carries_request_id_security_and_cors_headers(self, compose_service):
        app = compose_service(THINGS, allowed_origins="https://app.example.com")

        answer = await asked(app, "/api/v1/things/broken/down", headers={"origin": "https://app.example.com"})

        assert answer.status_code == 500
        assert answer.json()["request_id"] == answer.headers["x-request-id"]
        assert answer.headers["access-control-allow-origin"] == "https://app.example.com"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "internals" not in answer.text

    async def test_a_middleware_that_is_added_later_is_inside_the_pipeline(self, compose_service):
        class Shuts:
            def __init__(self, app):
                self.app = app

            async def __call__(self, scope, receive, send):
                if scope["type"] != "http":
                    await self.app(scope, receive, send)
                    return
                raise RuntimeError("shut")

        app = compose_service(THINGS)
        app.add_middleware(Shuts)

        answer = await asked(app, "/api/v1/things/7")

        assert answer.status_code == 500
        assert "x-request-id" in answer.headers

    async def test_dependency_overrides_and_mounts_work_as_fastapi_documents_them(self, compose_service):
        app = compose_service(THINGS)
        inner = FastAPI()

        @inner.get("/x")
        async def x() -> str:
            return "inner"

        app.mount("/inner", inner)

        assert (await asked(app, "/inner/x")).json() == "inner"

    async def test_one_may_be_mounted_in_another(self, compose_service):
        outer, inner = compose_service(), compose_service(THINGS)
        outer.mount("/inner", inner)

        answer = await asked(outer, "/inner/api/v1/things/7")

        assert (answer.status_code, answer.json()) == (200, 7)
        assert current_context() is None

    @pytest.mark.parametrize("chunked", [False, True])
    async def test_a_body_over_the_limit_is_413_announced_or_not(self, compose_service, chunked):
        uploads = APIRouter()

        @uploads.post("/upload")
        async def upload(body: dict) -> int:
            return len(body)

        app = compose_service(Module(name="uploads", routers=(uploads,)), max_body_bytes=1000)

        async def parts():
            for _ in range(30):
                yield b'"' + b"x" * 98 + b'"'

        content = parts() if chunked else b"x" * 3000
        answer = await asked(
            app, "/api/v1/upload", method="POST", content=content, headers={"content-type": "application/json"}
        )

        assert (answer.status_code, answer.json()["code"]) == (413, "CONTENT_TOO_LARGE")

    @pytest.mark.parametrize(("size", "status"), [(3000, 200), (6000, 413)])
    async def test_a_route_may_take_more_than_the_rest_of_the_service(self, compose_service, size, status):
        uploads = APIRouter()

        @uploads.post("/upload", max_body_size=5000)
        async def upload(body: str) -> int:
            return len(body)

        app = compose_service(Module(name="uploads", routers=(uploads,)), max_body_bytes=1000)

        body = b'"' + b"x" * size + b'"'
        headers = {"content-type": "application/json"}
        answer = await asked(app, "/api/v1/upload?body=1", method="POST", content=body, headers=headers)

        assert answer.status_code == status


class TestReference:
    async def test_liveness_touches_nothing(self, compose_service):
        async def hangs(_):
            await asyncio.Event().wait()

        app = compose_service(resources=[cache(ping=hangs)])

        async with asyncio.timeout(5):
            assert (await asked(app, "/health/live")).json() == {"status": "alive"}

    @pytest.mark.parametrize(
        ("required", "status", "state", "word"),
        [(True, 503, "down", "not_ready"), (False, 200, "degraded", "degraded")],
    )
    async def test_readiness_tells_what_is_down_and_nothing_more(self, compose_service, required, status, state, word):
        async def refuses(_):
            raise OSError("db-7.internal refused")

        answer = await asked(compose_service(resources=[cache(ping=refuses, required=required)]), "/health/ready")

        assert answer.status_code == status
        assert answer.json() == {"status": word, "checks": {"database": "up", "cache": state}}

    @pytest.mark.parametrize(("alias", "name"), [("liveness", "live"), ("readiness", "ready")])
    async def test_other_names_that_orchestrators_use_answer_too(self, compose_service, alias, name):
        app = compose_service()

        assert (await asked(app, f"/health/{alias}")).json() == (await asked(app, f"/health/{name}")).json()
        assert f"/health/{alias}" not in app.openapi()["paths"]

    async def test_a_burst_of_probes_is_one_ping(self, compose_service):
        pings = []

        async def counts(_):
            pings.append(1)

        app = compose_service(resources=[cache(ping=counts)])
        transport = httpx2.ASGITransport(app)
        async with (
            app.router.lifespan_context(app),
            httpx2.AsyncClient(transport=transport, base_url="http://testserver") as client,
        ):
            for _ in range(20):
                await client.get("/health/ready")

        assert len(pings) == 1

    async def test_errors_lists_every_code_the_services_own_included(self, compose_service):
        own = type("SoldOut", (MainspringError,), {"code": "SOLD_OUT", "status": 409, "title": "Sold out"})

        codes = {
            entry["code"] for entry in (await asked(compose_service(Module(name="m", errors=(own,))), "/errors")).json()
        }

        assert {"SOLD_OUT", "INTERNAL_ERROR", "VALIDATION_ERROR"} <= codes

    async def test_the_documentation_needs_nobody_elses_server(self, compose_service):
        app = compose_service()
        page, start = await asked(app, "/docs"), await asked(app, "/docs/start.js")

        assert "://" not in page.text
        assert "://" not in start.text
        for name in ("swagger-ui.css", "swagger-ui-bundle.js"):
            assert (await asked(app, f"/docs/{name}")).status_code == 200
        assert "script-src" not in page.headers["content-security-policy"]

    @pytest.mark.parametrize("path", ["/docs", "/openapi.json"])
    async def test_without_docs_there_is_no_description(self, compose_service, path):
        assert (await asked(compose_service(enable_docs=False), path)).status_code == 404
        assert (await asked(compose_service(), path)).status_code == 200


class TestExplaining:
    def test_a_composition_says_what_and_why(self, tmp_path):
        settings = AccountsSettings(
            environment="test",
            database_url=f"sqlite:///{tmp_path}/test.db",
            allowed_origins="https://app.example.com",
            allowed_hosts="shop.example.com",
            trusted_proxies="10.0.0.0/8",
        )
        found = composition_of(
            create_app("shop", settings=settings, modules=[accounts_module(settings, issuer="shop")])
        )

        assert [stage.name for stage in found.stages] == [
            "access-log",
            "metrics",
            "trusted-proxies",
            "request-id",
            "trace-context",
            "security-headers",
            "cors",
            "trusted-hosts",
            "drain",
            "deadline",
            "errors",
            "body-limit",
            "loop-watch",
            "route-index",
        ]
        assert [(r.name, r.chosen_by, r.source) for r in found.resources] == [
            ("database", "database_url", "code"),
            ("mail", "MAIL_URL", "default"),
        ]
        me = next(route for route in found.routes if route.path == "/api/v1/users/me")
        assert (me.methods, "OAuth2Password" in me.guards) == (("GET",), True)

    def test_the_database_is_named_without_its_password(self):
        settings = Settings(environment="test", database_url="postgresql://shop:hunter2@db.internal/shop")

        (database,) = composition_of(create_app("shop", settings=settings)).resources

        assert database.backend == "postgresql db.internal:5432/shop"

    def test_the_resource_of_the_database_is_the_database(self, compose_service):
        assert Database in [resource.provides for resource in compose_service().registry.resources]
