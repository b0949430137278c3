"""A composition is described without being started, whatever it is made of."""

import functools
from typing import Annotated

from fastapi import APIRouter, Depends, FastAPI, Security, WebSocket
from fastapi.security import APIKeyHeader, HTTPBearer
from fastapi.staticfiles import StaticFiles

from mainspring.app import composition_of
from mainspring.kernel import Module, Resource

bearer = HTTPBearer()


def signed_in(credentials: Annotated[object, Depends(bearer)]):
    return credentials


class Limits:
    """A dependency that is an object."""

    def __call__(self, user: Annotated[object, Depends(signed_in)]):
        return user


class Handler:
    """A handler that is an object."""

    async def __call__(self) -> None: ...


async def greet(name: str, greeting: str) -> str:
    return f"{greeting}, {name}"


def routes_of(router, compose_service, **module):
    app = compose_service(Module(name="m", routers=(router,), **module))
    return {route.path: route for route in composition_of(app).routes}


class TestRoutes:
    def test_what_guards_a_route_is_named_outermost_first(self, compose_service):
        router = APIRouter(dependencies=[Security(APIKeyHeader(name="x-key", scheme_name="Key"))])

        @router.get("/guarded")
        async def guarded(user: Annotated[object, Depends(Limits())]) -> None: ...

        @router.get("/half")
        async def half() -> None: ...

        routes = routes_of(router, compose_service)
        assert routes["/api/v1/guarded"].guards == ("Key", "Limits", "signed_in", "HTTPBearer")
        assert routes["/api/v1/half"].guards == ("Key",)
        assert routes["/health"].guards == ()

    def test_a_dependency_that_checks_nobody_is_no_guard(self, compose_service):
        router = APIRouter()

        @router.get("/x")
        async def x(value: Annotated[int, Depends(lambda: 1)]) -> None: ...

        assert routes_of(router, compose_service)["/api/v1/x"].guards == ()

    def test_handlers_of_any_kind_are_named(self, compose_service):
        router = APIRouter()
        router.add_api_route("/object", Handler())
        router.add_api_route("/partial", functools.partial(greet, greeting="Hello"))
        router.add_api_route("/function", greet, methods=["POST", "GET"])
        router.add_api_route("/hidden", greet, include_in_schema=False)

        routes = routes_of(router, compose_service)
        assert routes["/api/v1/object"].name == "Handler"
        assert (routes["/api/v1/function"].name, routes["/api/v1/function"].methods) == ("greet", ("GET", "POST"))
        assert routes["/api/v1/function"].module == __name__
        assert "/api/v1/partial" in routes
        assert "/api/v1/hidden" in routes

    def test_a_websocket_is_listed_with_its_guards(self, compose_service):
        router = APIRouter()

        @router.websocket("/talk/{room}")
        async def talk(socket: WebSocket, key: Annotated[str, Depends(APIKeyHeader(name="x-key"))]) -> None: ...

        route = routes_of(router, compose_service)["/api/v1/talk/{room}"]
        assert (route.methods, route.name, route.guards) == (("WS",), "talk", ("APIKeyHeader",))

    def test_pages_stand_at_the_root_and_mounts_do_not_disturb(self, compose_service, tmp_path):
        pages = APIRouter()

        @pages.get("/")
        async def home() -> str: ...

        app = compose_service(Module(name="m", pages=(pages,)))
        app.mount("/files", StaticFiles(directory=tmp_path))
        app.mount("/inner", FastAPI())

        paths = [route.path for route in composition_of(app).routes]
        assert "/" in paths
        assert paths == sorted(paths)


class TestStagesAndResources:
    def test_only_the_stages_that_the_settings_ask_for_are_there(self, compose_service):
        def stages(**options):
            return [stage.name for stage in composition_of(compose_service(**options)).stages]

        own = ["request-id", "trace-context", "security-headers", "drain"]
        every = ["access-log", "metrics", *own, "deadline", "errors", "compression", "body-limit", "loop-watch"]
        assert stages() == [*every, "route-index"]
        least = {"request_timeout": 0, "compress_responses": False, "metrics_enabled": False, "slow_loop_seconds": 0}
        assert stages(**least) == ["access-log", *own, "errors", "body-limit", "route-index"]

    def test_every_step_says_what_it_does_and_what_it_costs(self, compose_service):
        options = {
            "trusted_proxies": "10.0.0.0/8",
            "allowed_hosts": "a.example",
            "allowed_origins": "https://a.example",
        }

        assert all(stage.purpose and stage.cost for stage in composition_of(compose_service(**options)).stages)

    def test_a_resource_says_what_stands_behind_it_and_who_chose_that(self, compose_service, monkeypatch):
        async def make(_): ...

        monkeypatch.setenv("DATABASE_URL", "sqlite:///from-environment.db")
        given = Resource(
            provides=dict, name="search", make=make, backend="memory", chosen_by="SEARCH_URL", required=False
        )
        silent = Resource(provides=list, name="silent", make=make)
        from mainspring.app import create_app
        from mainspring.settings import Settings

        app = create_app("shop", settings=Settings(environment="test"), resources=[given, silent])
        lines = {line.name: line for line in composition_of(app).resources}

        assert set(lines) == {"database", "search"}
        assert lines["database"].backend == "sqlite (WAL) from-environment.db"
        assert (lines["database"].chosen_by, lines["database"].source) == ("DATABASE_URL", "environment")
        assert (lines["search"].source, lines["search"].required) == ("", False)

    def test_modules_are_listed_with_their_summaries(self, compose_service):
        found = composition_of(compose_service(Module(name="a", summary="First"), Module(name="b")))

        assert found.modules == (("a", "First"), ("b", ""))
        assert (found.name, found.environment) == ("shop", "test")

    def test_describing_starts_nothing(self, compose_service, tmp_path):
        made = []

        async def make(_):
            made.append(1)

        composition_of(compose_service(resources=[Resource(provides=dict, name="d", make=make, backend="x")]))

        assert made == []
        assert list(tmp_path.iterdir()) == []
