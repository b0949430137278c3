"""The index takes the route that FastAPI's own walk takes, and leaves to the walk what it cannot decide."""

import json
from typing import Annotated

import pytest
from fastapi import APIRouter, Depends, FastAPI, Form, Request, WebSocket
from fastapi.routing import APIRoute
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.responses import PlainTextResponse
from starlette.routing import Host, Match, Mount, Route, Router
from starlette.testclient import TestClient

from mainspring.http import ErrorSeam, Pipeline, RouteIndex, Stage

from .conftest import call, scope_of

LIKELY = ["a", "a", "b", "{x}", "{x}", "{n:int}"]
SEGMENT = st.sampled_from([*LIKELY, "{u:uuid}", "{f:float}", "v{w}", "{z}.json"])
PATH = st.lists(SEGMENT, min_size=1, max_size=2, unique=True).map(lambda segments: "/" + "/".join(segments))
ENDING = st.sampled_from(["", "", "", "/", "/{rest:path}"])
METHODS = st.sampled_from([["GET"], ["GET"], ["POST"], ["GET", "PUT"]])
ROUTE = st.tuples(st.builds(str.__add__, PATH, ENDING), METHODS)
PREFIX = st.sampled_from(["", "/a", "/b", "/{p}"])
TREE = st.recursive(
    st.lists(ROUTE, min_size=1, max_size=6),
    lambda inner: st.lists(st.tuples(PREFIX, inner), min_size=1, max_size=3),
    max_leaves=4,
)
WORD = st.sampled_from(["a", "a", "b", "7", "1.5", "va", "x.json", "", "a\n", "00000000-0000-4000-8000-000000000000"])
ASKED = st.lists(WORD, min_size=1, max_size=3).map(lambda words: "/" + "/".join(words))
METHOD = st.sampled_from(["GET", "GET", "GET", "POST", "PUT", "HEAD", "BREW"])


def grown(tree):
    """A router with the routes of a tree; None where a path names a parameter twice, which FastAPI refuses."""
    router = APIRouter()
    for branch in tree:
        if isinstance(branch[1], list) and isinstance(branch[1][0], tuple):
            router.include_router(grown(branch[1]), prefix=branch[0])
        else:
            path, methods = branch
            router.add_api_route(path, answering(path, methods), methods=methods)
    return router


def answering(path, methods):
    async def endpoint(request: Request):
        scope = request.scope
        return {
            "declared": [path, methods],
            "params": {name: repr(value) for name, value in scope["path_params"].items()},
            "route": scope["route"].path,
            "endpoint": scope["endpoint"] is endpoint,
            "router": "router" in scope,
        }

    return endpoint


def indexed(app):
    app.router.middleware_stack = RouteIndex(app.router, app.router.app)
    return app


@pytest.fixture
def app():
    return indexed(FastAPI())


async def told(app, method, path):
    answer = await call(app, scope_of(path, method=method))
    return answer.status, answer.headers.get("allow"), answer.headers.get("location"), answer.body


class TestAgainstTheWalk:
    @settings(max_examples=60)
    @given(TREE, st.lists(st.tuples(METHOD, ASKED), min_size=10, max_size=30))
    async def test_every_request_is_answered_by_the_same_route_in_the_same_words(self, tree, asked):
        try:
            walked, found = FastAPI(), indexed(FastAPI())
            walked.include_router(grown(tree))
            found.include_router(grown(tree))
            await told(walked, "GET", "/")  # FastAPI puts prefixes and paths together only now
        except ValueError:
            return  # a name twice in one path

        for method, path in [*asked, *asked]:
            assert await told(found, method, path) == await told(walked, method, path)

    async def test_a_line_break_at_the_end_of_a_path_means_what_it_means_to_the_walk(self):
        walked, found = FastAPI(), indexed(FastAPI())
        for app in (walked, found):
            for path in ("/a", "/{x}"):
                app.get(path)(answering(path, []))
        for path in ("/a", "/a\n", "/b\n", "/a\n\n"):
            assert await told(found, "GET", path) == await told(walked, "GET", path)

    @pytest.mark.parametrize("first", ["/{x}", "/a", "/{rest:path}", "/{n:int}"])
    async def test_the_first_of_two_that_match_is_taken_whichever_is_more_exact(self, app, first):
        for path in dict.fromkeys([first, "/a", "/7", "/{x}", "/{n:int}", "/{rest:path}"]):
            app.get(path)(answering(path, []))

        async def declared(path):
            return json.loads((await call(app, scope_of(path))).body)["declared"][0]

        assert await declared("/a") == ("/a" if first == "/{n:int}" else first)
        assert await declared("/7") == ("/7" if first == "/a" else first)

    async def test_a_large_tree_is_answered_alike_to_its_last_route(self):
        def build():
            app, top = FastAPI(), APIRouter()
            for group in range(10):
                router = APIRouter()
                for number in range(10):
                    router.add_api_route(f"/things{number}/{{id}}", answering(f"{group}.{number}", []), methods=["GET"])
                top.include_router(router, prefix=f"/group{group}")
            app.include_router(top, prefix="/api/v1")
            return app

        walked, found = build(), indexed(build())
        for group, number in [(0, 0), (4, 9), (9, 9)]:
            path = f"/api/v1/group{group}/things{number}/7"
            assert await told(found, "GET", path) == await told(walked, "GET", path)
            assert json.loads((await call(found, scope_of(path))).body)["params"] == {"id": "'7'"}


def walking(app, monkeypatch):
    """Counts the requests that the index leaves to the walk."""
    index, left = app.router.middleware_stack, []
    walk = index._walk

    async def counted(scope, receive, send):
        left.append(scope["path"])
        await walk(scope, receive, send)

    monkeypatch.setattr(index, "_walk", counted)
    return left


class TestWhatIsLeftToTheWalk:
    async def test_an_ordinary_route_is_not(self, app, monkeypatch):
        app.get("/a/{x}")(answering("a", []))
        left = walking(app, monkeypatch)

        assert (await call(app, scope_of("/a/1"))).status == 200
        assert left == []

    async def test_unknown_paths_and_other_methods_are(self, app, monkeypatch):
        app.get("/a")(answering("a", []))
        left = walking(app, monkeypatch)

        assert (await call(app, scope_of("/b"))).status == 404
        assert (await call(app, scope_of("/a", method="POST"))).headers["allow"] == "GET"
        assert (await call(app, scope_of("/a/"))).headers["location"] == "http://testserver/a"
        assert left == ["/b", "/a", "/a/"]

    async def test_a_mount_that_comes_first_keeps_what_is_under_it(self, app):
        async def mounted(scope, receive, send):
            await PlainTextResponse(f"mounted {scope['path']}")(scope, receive, send)

        app.mount("/a", mounted)
        app.get("/a/b")(answering("never", []))
        app.get("/b")(answering("b", []))

        assert (await call(app, scope_of("/a/b"))).body == b"mounted /a/b"
        assert (await call(app, scope_of("/b"))).status == 200

    async def test_a_mount_that_comes_last_gets_what_is_left(self, app):
        app.get("/a")(answering("a", []))
        app.mount("/", Router([Route("/{rest:path}", lambda _: PlainTextResponse("rest"))]))

        assert json.loads((await call(app, scope_of("/a"))).body)["declared"] == ["a", []]
        assert (await call(app, scope_of("/b"))).body == b"rest"

    async def test_a_host_that_decides_by_a_header_switches_the_index_off(self, app, monkeypatch):
        app.router.routes.append(Host("other.example", Router([Route("/a", lambda _: PlainTextResponse("other"))])))
        app.get("/a")(answering("a", []))
        left = walking(app, monkeypatch)

        assert (await call(app, scope_of("/a", headers=[("host", "other.example")]))).body == b"other"
        assert (await call(app, scope_of("/a"))).status == 200
        assert left == ["/a", "/a"]

    async def test_a_class_of_routes_that_matches_in_its_own_way_does_so(self, app):
        class Versioned(APIRoute):
            def matches(self, scope):
                wanted = dict(scope["headers"]).get(b"x-version", b"1").decode()
                return super().matches(scope) if self.name.endswith(wanted) else (Match.NONE, {})

        router = APIRouter(route_class=Versioned)
        router.add_api_route("/a", answering("first", []), name="a1")
        router.add_api_route("/a", answering("second", []), name="a2")
        app.include_router(router)

        assert json.loads((await call(app, scope_of("/a"))).body)["declared"] == ["first", []]
        second = await call(app, scope_of("/a", headers=[("x-version", "2")]))
        assert json.loads(second.body)["declared"] == ["second", []]

    async def test_an_application_below_a_prefix_is(self, app, monkeypatch):
        app.get("/a")(answering("a", []))
        left = walking(app, monkeypatch)

        answer = await call(app, scope_of("/below/a") | {"root_path": "/below"})
        assert (answer.status, left) == (200, ["/below/a"])


class TestLater:
    async def test_a_route_that_is_added_later_is_found(self, app):
        app.get("/a")(answering("a", []))
        assert (await call(app, scope_of("/b"))).status == 404

        app.get("/b")(answering("b", []))
        assert (await call(app, scope_of("/b"))).status == 200

    async def test_a_route_that_an_included_router_is_given_later_is_found(self, app):
        router = APIRouter()
        app.include_router(router)
        app.get("/a")(answering("a", []))
        assert (await call(app, scope_of("/a"))).status == 200

        router.get("/b")(answering("b", []))
        assert (await call(app, scope_of("/b"))).status == 200

    async def test_a_route_that_is_taken_away_is_gone(self, app):
        app.get("/a")(answering("a", []))
        assert (await call(app, scope_of("/a"))).status == 200

        app.router.routes.pop()
        assert (await call(app, scope_of("/a"))).status == 404


class TestTheRestOfFastapi:
    def test_overrides_forms_and_websockets_work_as_before(self, app):
        async def who() -> str:
            return "nobody"

        @app.get("/who")
        async def get_who(name: Annotated[str, Depends(who)]) -> str:
            return name

        @app.post("/form")
        async def form(word: Annotated[str, Form()]) -> str:
            return word

        @app.websocket("/socket/{room}")
        async def socket(websocket: WebSocket, room: str) -> None:
            await websocket.accept()
            await websocket.send_text(room)

        client = TestClient(app)
        app.dependency_overrides[who] = lambda: "ada"
        assert client.get("/who").json() == "ada"
        assert client.post("/form", data={"word": "yes"}).json() == "yes"
        with client.websocket_connect("/socket/blue") as session:
            assert session.receive_text() == "blue"

    async def test_the_template_is_told_to_the_stages(self, app):
        routes = []

        class Remembers(Stage):
            name, purpose = "remembers", ""

            def finish(self, exchange):
                routes.append(exchange.route)

        router = APIRouter()
        router.get("/things/{id}")(answering("thing", []))
        app.include_router(router, prefix="/api")
        app.mount("/files", Mount("/", routes=[Route("/{path:path}", lambda _: PlainTextResponse("file"))]))
        pipeline = Pipeline(app, stages=[Remembers()], render=ErrorSeam().render)

        for path in ("/api/things/7", "/nowhere"):
            await call(pipeline, scope_of(path))

        assert routes == ["/api/things/{id}", None]
