"""Every error leaves through one seam in one format."""

import json
from datetime import UTC, datetime

import httpx2
import pytest
from fastapi import FastAPI, HTTPException
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, SecretStr

from mainspring.errors import Conflict, FieldError, MainspringError, RateLimited
from mainspring.http import ErrorSeam, Page, PageParams, Pipeline, RequestId, describe_api, problem_of
from mainspring.kernel import FrozenClock

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)


class SoldOut(Conflict):
    """Nothing is left."""

    code = "SOLD_OUT"
    title = "Sold out"


class Order(BaseModel):
    article: str
    count: int
    password: SecretStr


def build(form):
    app = FastAPI()
    seam = ErrorSeam(form, clock=FrozenClock(NOON))
    seam.install(app)
    describe_api(app, form)

    @app.get("/sold-out")
    async def sold_out() -> None:
        raise SoldOut("None are left.", errors=[FieldError(("query", "count"), "Too many.", "too_many")])

    @app.get("/limited")
    async def limited() -> None:
        raise RateLimited(retry_after=30)

    @app.get("/http/{status}")
    async def http(status: int) -> None:
        raise HTTPException(status, "Because.", headers={"X-Own": "kept"})

    @app.get("/defect")
    async def defect() -> None:
        raise RuntimeError("the password is hunter2")

    @app.get("/wrong-answer")
    async def wrong_answer() -> Order:
        return {"article": "hunter2"}

    @app.post("/orders")
    async def place(order: Order, limit: int = 0) -> int:
        return order.count

    @app.put("/orders")
    async def replace() -> None:
        pass

    @app.get("/pages")
    async def pages(params: PageParams) -> Page[int]:
        return Page.of([1], total=21, params=params)

    return app, Pipeline(app, stages=[RequestId()], render=seam.render)


@pytest.fixture(params=["problem", "envelope"])
def form(request):
    return request.param


@pytest.fixture
async def client(form):
    _, served = build(form)
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(served), base_url="http://testserver") as client:
        yield client


def code_of(answer):
    body = answer.json()
    return body["code"] if "code" in body else body["error"]["code"]


@pytest.mark.parametrize("form", ["problem"], indirect=True)
async def test_a_problem_has_the_members_of_rfc_9457_and_ours(client):
    answer = await client.get("/sold-out", headers={"X-Request-ID": "request-one"})

    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json() == {
        "type": "/errors#SOLD_OUT",
        "title": "Sold out",
        "status": 409,
        "detail": "None are left.",
        "instance": "/sold-out",
        "code": "SOLD_OUT",
        "request_id": "request-one",
        "errors": [{"loc": ["query", "count"], "msg": "Too many.", "type": "too_many"}],
    }


@pytest.mark.parametrize("form", ["envelope"], indirect=True)
async def test_an_envelope_has_the_shape_its_clients_expect(client):
    answer = await client.get("/sold-out", headers={"X-Request-ID": "request-one"})

    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {
        "success": False,
        "error": {
            "code": "SOLD_OUT",
            "message": "None are left.",
            "details": [{"loc": ["query", "count"], "msg": "Too many.", "type": "too_many"}],
        },
        "timestamp": "2026-07-01T12:00:00+00:00",
        "path": "/sold-out",
        "request_id": "request-one",
    }


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "RESOURCE_NOT_FOUND"),
        ("DELETE", "/orders", 405, "METHOD_NOT_ALLOWED"),
        ("GET", "/http/401", 401, "NOT_AUTHENTICATED"),
        ("GET", "/http/403", 403, "PERMISSION_DENIED"),
        ("GET", "/http/418", 418, "IM_A_TEAPOT"),
        ("GET", "/http/599", 599, "ERROR"),
        ("GET", "/http/x", 422, "VALIDATION_ERROR"),
        ("GET", "/pages?page=0", 422, "VALIDATION_ERROR"),
        ("GET", "/limited", 429, "RATE_LIMITED"),
    ],
)
async def test_whoever_refuses_the_format_is_the_same(client, method, path, status, code):
    answer = await client.request(method, path)

    assert (answer.status_code, code_of(answer)) == (status, code)
    assert answer.json()["request_id"] == answer.headers["x-request-id"]


async def test_headers_of_an_http_exception_are_kept(client):
    assert (await client.get("/http/403")).headers["x-own"] == "kept"


async def test_a_405_names_every_method_of_the_path(client):
    assert (await client.delete("/orders")).headers["allow"] == "POST, PUT"


async def test_retry_after_is_a_header(client):
    assert (await client.get("/limited")).headers["retry-after"] == "30"


@pytest.mark.parametrize("path", ["/defect", "/wrong-answer"])
async def test_a_defect_is_a_500_that_says_nothing_but_the_request_id(client, path):
    answer = await client.get(path)

    assert (answer.status_code, code_of(answer)) == (500, "INTERNAL_ERROR")
    assert "hunter2" not in answer.text
    assert "Traceback" not in answer.text


async def test_a_body_that_is_not_json_is_a_400_and_what_is_wrong_is_said(client):
    answer = await client.post("/orders", content=b'{"a":', headers={"content-type": "application/json"})

    assert (answer.status_code, code_of(answer)) == (400, "BAD_REQUEST")


@pytest.mark.parametrize("body", [b"\xff\xfe", b"hunter2", b"[1, 2", b'"\\ud800"', b"null", b"{}"])
async def test_a_strange_body_is_a_4xx_and_is_never_repeated(client, body):
    answer = await client.post("/orders", content=body, headers={"content-type": "application/json"})

    assert 400 <= answer.status_code < 500
    assert "hunter2" not in answer.text


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=12, max_size=40))
def test_a_validation_answer_never_repeats_what_was_sent(text):
    import asyncio

    secret = f"s3cret-{text}"

    async def ask():
        _, served = build("problem")
        transport = httpx2.ASGITransport(served)
        async with httpx2.AsyncClient(transport=transport, base_url="http://testserver") as client:
            body = {"article": 1, "count": secret, "password": [secret]}
            return await client.post("/orders", json=body, params={"limit": secret})

    answer = asyncio.run(ask())

    details = answer.json()["errors"]
    assert answer.status_code == 422
    assert {tuple(detail["loc"]) for detail in details} == {
        ("body", "article"),
        ("body", "count"),
        ("body", "password"),
        ("query", "limit"),
    }
    assert secret not in json.dumps(details, ensure_ascii=False)


def test_an_error_of_the_tree_is_itself_and_anything_else_a_bare_500():
    error = SoldOut()

    assert problem_of(error) is error
    assert type(problem_of(KeyError("secret"))) is MainspringError


class TestDescription:
    def test_every_operation_says_how_it_fails_in_the_services_format(self, form):
        app, _ = build(form)
        name = {"problem": "Problem", "envelope": "ErrorEnvelope"}[form]
        document = app.openapi()

        for path in document["paths"].values():
            for operation in path.values():
                for status, response in operation["responses"].items():
                    if status == "default" or status.startswith("4"):
                        (content,) = response["content"].values()
                        assert content["schema"] == {"$ref": f"#/components/schemas/{name}"}
                assert "default" in operation["responses"]

    def test_fastapis_own_error_schemas_are_gone(self, form):
        app, _ = build(form)

        assert {"HTTPValidationError", "ValidationError"}.isdisjoint(app.openapi()["components"]["schemas"])

    def test_the_document_is_made_once(self, form):
        app, _ = build(form)

        assert app.openapi() is app.openapi()

    async def test_answers_have_exactly_the_members_described(self, client, form):
        app, _ = build(form)
        schema = app.openapi()["components"]["schemas"][{"problem": "Problem", "envelope": "ErrorEnvelope"}[form]]

        assert set((await client.get("/sold-out")).json()) == set(schema["required"]) == set(schema["properties"])


class TestPages:
    async def test_a_page_says_where_it_stands(self, client):
        answer = await client.get("/pages", params={"page": 2, "page_size": 10})

        assert answer.json() == {"items": [1], "total": 21, "page": 2, "page_size": 10, "pages": 3}

    @pytest.mark.parametrize("query", ["page=0", "page=10001", "page_size=0", "page_size=101", "page=1.5"])
    async def test_a_page_out_of_bounds_is_422(self, client, query):
        assert (await client.get(f"/pages?{query}")).status_code == 422
