"""A whole service in process: every kind of route and failure carries what the service promises of all answers."""

import asyncio
import gzip
import logging
from contextlib import asynccontextmanager

import httpx2
import pytest
from fastapi import APIRouter, BackgroundTasks, FastAPI, HTTPException, Request
from fastapi.responses import HTMLResponse, PlainTextResponse, StreamingResponse
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel
from starlette.middleware.base import BaseHTTPMiddleware  # noqa: TID251 -- what users bring
from starlette.middleware.gzip import GZipMiddleware

from mainspring.errors import Conflict
from mainspring.kernel import Module
from mainspring.observability import current_context, get_logger
from tests.observability.capture import json_lines

ORIGIN = "https://app.example.com"
log = logging.getLogger("shop.things")


class Thing(BaseModel):
    name: str


@pytest.fixture
def lines():
    with json_lines("INFO") as lines:
        yield lines


router = APIRouter(tags=["things"])


@router.get("/async")
async def in_the_loop() -> str:
    log.info("in the loop")
    return "done"


@router.get("/sync")
def in_a_thread() -> str:
    log.info("in a thread")
    return "done"


@router.get("/tasks")
async def in_tasks() -> str:
    async def one():
        get_logger("shop.things").info("in a task")

    async with asyncio.TaskGroup() as group:
        group.create_task(one())
        group.create_task(asyncio.to_thread(log.info, "in a thread of a task"))
    return "done"


@router.get("/background")
async def in_the_background(later: BackgroundTasks) -> str:
    later.add_task(log.info, "in the background")
    return "done"


@router.get("/background/broken")
async def broken_in_the_background(later: BackgroundTasks) -> str:
    def fail():
        raise RuntimeError("hunter2")

    later.add_task(fail)
    return "done"


@router.get("/stream")
async def stream() -> StreamingResponse:
    async def parts():
        for number in range(3):
            log.info("part %d", number)
            yield f"{number}\n"

    return StreamingResponse(parts())


@router.get("/stream/broken")
async def broken_stream() -> StreamingResponse:
    async def parts():
        yield "first\n"
        raise RuntimeError("hunter2")

    return StreamingResponse(parts())


@router.get("/refused")
async def refused() -> None:
    raise Conflict("Not now.")


@router.get("/http")
def http() -> None:
    raise HTTPException(418)


@router.get("/defect")
async def defect() -> None:
    raise RuntimeError("hunter2")


@router.get("/defect/sync")
def sync_defect() -> None:
    raise RuntimeError("hunter2")


@router.get("/wrong")
async def wrong() -> Thing:
    return {"name": object()}


@router.post("/things")
async def create(thing: Thing) -> Thing:
    return thing


@router.get("/things/{thing_id}")
async def read(thing_id: int) -> int:
    return thing_id


@router.get("/page")
async def page() -> HTMLResponse:
    return HTMLResponse("<h1>Hello</h1>")


THINGS = Module(name="things", routers=(router,))


@pytest.fixture
def service(compose_service):
    def service(**values):
        values = {"allowed_origins": ORIGIN, "allowed_hosts": "shop.example.com", "max_body_bytes": 1000} | values
        return compose_service(THINGS, **values)

    return service


@asynccontextmanager
async def client_of(app, **options):
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app), base_url="http://shop.example.com", **options
        ) as client,
    ):
        yield client


async def ask(app, path, method="GET", **options):
    async with client_of(app) as client:
        return await client.request(method, path, **options)


KINDS = [
    ("GET", "/api/v1/async", {}, 200),
    ("GET", "/api/v1/page", {}, 200),
    ("GET", "/health/live", {}, 200),
    ("GET", "/nothing", {}, 404),
    ("DELETE", "/api/v1/async", {}, 405),
    ("GET", "/api/v1/refused", {}, 409),
    ("POST", "/api/v1/things", {"json": {"name": "x" * 2000}}, 413),
    ("GET", "/api/v1/http", {}, 418),
    ("GET", "/api/v1/things/x", {}, 422),
    ("POST", "/api/v1/things", {"json": {}}, 422),
    ("POST", "/api/v1/things", {"content": b"{", "headers": {"content-type": "application/json"}}, 400),
    ("GET", "/api/v1/async", {"headers": {"host": "evil.example"}}, 400),
    ("GET", "/api/v1/defect", {}, 500),
    ("GET", "/api/v1/defect/sync", {}, 500),
    ("GET", "/api/v1/wrong", {}, 500),
    ("OPTIONS", "/api/v1/async", {"headers": {"access-control-request-method": "PUT"}}, 204),
]


class TestEveryAnswer:
    @pytest.mark.parametrize(("method", "path", "options", "status"), KINDS)
    @pytest.mark.parametrize("form", ["problem", "envelope"])
    async def test_it_carries_the_request_id_cors_and_security_headers_and_no_internals(
        self, service, lines, method, path, options, status, form
    ):
        headers = {"origin": ORIGIN, "x-request-id": "request-one"} | options.get("headers", {})
        answer = await ask(service(error_format=form), path, method, **options | {"headers": headers})

        assert answer.status_code == status
        assert answer.headers.get_list("x-request-id") == ["request-one"]
        assert answer.headers.get_list("access-control-allow-origin") == [ORIGIN]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "hunter2" not in answer.text
        if status >= 400:
            assert answer.json()["request_id"] == "request-one"
            media = {"problem": "application/problem+json", "envelope": "application/json"}[form]
            assert answer.headers["content-type"] == media

    @pytest.mark.parametrize(("method", "path", "options", "status"), KINDS)
    async def test_it_is_one_access_line_and_a_defect_is_one_line_more(
        self, service, lines, method, path, options, status
    ):
        headers = {"origin": ORIGIN} | options.get("headers", {})
        answer = await ask(service(), path, method, **options | {"headers": headers})

        mine = lines(request_id=answer.headers["x-request-id"])
        access = [line for line in mine if line["logger"] == "mainspring.access"]
        assert [line["extra"]["status"] for line in access] == ([] if path.startswith("/health") else [status])
        told = [line for line in mine if "exception" in line]
        assert len(told) == (1 if status == 500 else 0)
        assert lines.text.count("Traceback") == len(told)

    async def test_the_access_line_names_the_template_of_the_route(self, service, lines):
        await ask(service(), "/api/v1/things/7")

        (line,) = lines(logger="mainspring.access")
        assert line["extra"]["route"] == "/api/v1/things/{thing_id}"


class TestLogLines:
    @pytest.mark.parametrize("path", ["async", "sync", "tasks", "background", "stream"])
    async def test_every_line_of_a_request_names_it_wherever_it_was_written(self, service, lines, path):
        app = service()
        async with client_of(app) as client:
            answers = await asyncio.gather(*(client.get(f"/api/v1/{path}") for _ in range(5)))

        for answer in answers:
            mine = lines(request_id=answer.headers["x-request-id"])
            expected = {"tasks": 2, "stream": 3}.get(path, 1)
            assert len([line for line in mine if line["logger"] == "shop.things"]) == expected
        assert all("request_id" in line for line in lines(logger="shop.things"))

    async def test_outside_of_a_request_there_is_no_id(self, service, lines):
        await ask(service(), "/api/v1/async")
        log.info("afterwards")

        assert "request_id" not in lines(message="afterwards")[0]
        assert current_context() is None


class TestFailuresAfterTheAnswer:
    async def test_a_background_task_that_fails_is_told_once_and_the_answer_stands(self, service, lines):
        answer = await ask(service(), "/api/v1/background/broken")

        assert (answer.status_code, answer.json()) == (200, "done")
        (line,) = lines(level="error")
        assert line["request_id"] == answer.headers["x-request-id"]


class TestMiddlewares:
    async def test_one_of_any_style_is_inside_the_pipeline(self, service, lines):
        app = service()

        class Marks(BaseHTTPMiddleware):
            async def dispatch(self, request, call_next):
                log.info("in a middleware")
                response = await call_next(request)
                response.headers["x-marked"] = current_context().request_id
                return response

        app.add_middleware(Marks)
        app.add_middleware(GZipMiddleware, minimum_size=1)

        @app.middleware("http")
        async def function(request: Request, call_next):
            if request.url.path == "/shut":
                raise RuntimeError("hunter2")
            return await call_next(request)

        async with client_of(app) as client:
            async with client.stream("GET", "/api/v1/async", headers={"accept-encoding": "gzip"}) as answer:
                raw = b"".join([part async for part in answer.aiter_raw()])
            shut = await client.get("/shut")

        assert gzip.decompress(raw) == b'"done"'
        assert answer.headers["x-marked"] == answer.headers["x-request-id"]
        assert lines(message="in a middleware")[0]["request_id"] == answer.headers["x-request-id"]
        assert (shut.status_code, shut.json()["code"]) == (500, "INTERNAL_ERROR")
        assert shut.json()["request_id"] == shut.headers["x-request-id"]
        assert len(lines(level="error", message="Unhandled exception")) == 1

    async def test_one_that_answers_by_itself_is_marked_and_logged(self, service, lines):
        app = service()

        @app.middleware("http")
        async def teapot(request, call_next):
            return PlainTextResponse("tea", 418)

        answer = await ask(app, "/anything")

        assert (answer.status_code, answer.text) == (418, "tea")
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert lines(logger="mainspring.access")[0]["extra"]["status"] == 418

    async def test_a_handler_that_the_user_adds_for_an_error_of_his_own_is_asked(self, service, lines):
        app = service()

        @app.exception_handler(RuntimeError)
        async def handle(request, error):
            return PlainTextResponse("mine", 503)

        answer = await ask(app, "/api/v1/defect")

        assert (answer.status_code, answer.text) == (503, "mine")
        assert "x-request-id" in answer.headers


class TestMounts:
    async def test_a_mounted_application_and_files_are_behind_the_pipeline(self, service, lines, tmp_path):
        (tmp_path / "x.txt").write_text("file")
        app, inner = service(), FastAPI()
        app.mount("/files", StaticFiles(directory=tmp_path))
        app.mount("/inner", inner)

        @inner.get("/defect")
        async def defect() -> None:
            log.info("inside")
            raise RuntimeError("hunter2")

        async with client_of(app) as client:
            file = await client.get("/files/x.txt")
            missing = await client.get("/files/y.txt")
            broken = await client.get("/inner/defect")

        assert file.text == "file"
        assert (missing.status_code, missing.json()["code"]) == (404, "RESOURCE_NOT_FOUND")
        assert (broken.status_code, "hunter2" in broken.text) == (500, False)
        for answer in (file, missing, broken):
            assert len(answer.headers.get_list("x-request-id")) == 1
        assert lines(message="inside")[0]["request_id"] == broken.headers["x-request-id"]
        assert len(lines(level="error", message="Unhandled exception")) == 1


class TestDebug:
    async def test_a_defect_shows_its_traceback_and_keeps_its_headers(self, service, lines):
        answer = await ask(service(debug=True), "/api/v1/defect", headers={"origin": ORIGIN})

        assert answer.status_code == 500
        assert "RuntimeError: hunter2" in answer.text
        assert answer.headers["access-control-allow-origin"] == ORIGIN
        assert lines(level="error")[0]["request_id"] == answer.headers["x-request-id"]

    async def test_an_error_of_the_tree_is_answered_as_ever(self, service):
        assert (await ask(service(debug=True), "/api/v1/refused")).json()["code"] == "CONFLICT"


class TestProduction:
    async def test_pages_over_a_proxy_that_ends_tls_are_strict(self, service):
        app = service(
            environment="production",
            secret_key="q8s7dJ2kLp0VbX4nT6yR1wZ3mC5hF9aEuGiKoNqS",
            trusted_proxies="127.0.0.1",
        )

        for scheme, sent in (("https", True), ("http", False)):
            answer = await ask(app, "/api/v1/page", headers={"x-forwarded-proto": scheme})
            assert ("strict-transport-security" in answer.headers) == sent
            assert "default-src 'self'" in answer.headers["content-security-policy"]
