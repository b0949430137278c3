"""The seam answers whatever is raised, in one form, and repeats nothing that was sent."""

import asyncio
import json
from datetime import UTC, date, datetime
from enum import Enum
from functools import cache
from ipaddress import IPv4Address
from typing import Annotated, Literal
from uuid import UUID

import httpx2
import pytest
from fastapi import Cookie, FastAPI, Header, HTTPException, Query
from fastapi.responses import JSONResponse
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AnyUrl, BaseModel, ConfigDict, EmailStr, Field, Json, StringConstraints, field_validator

from mainspring.errors import (
    BadRequest,
    FieldError,
    InvalidToken,
    MethodNotAllowed,
    NotAuthenticated,
    RateLimited,
    ServiceUnavailable,
    catalogue,
)
from mainspring.http import ErrorSeam, problem_of

from .conftest import call, scope_of
from .seams import Teapot, seamed

PROBLEM = {"type", "title", "status", "detail", "instance", "code", "request_id", "errors"}
ENVELOPE = {"success", "error", "timestamp", "path", "request_id"}


def raising(error, form="problem", path="/x"):
    app, served = seamed(form)

    @app.api_route(path, methods=["GET", "POST"], operation_id="x")
    async def x() -> None:
        raise error

    return served


async def ask(served, method="GET", path="/x", **options):
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(served), base_url="http://testserver") as client:
        return await client.request(method, path, **options)


class TestForms:
    async def test_a_problem_is_byte_for_byte_what_is_documented(self):
        answer = await ask(raising(Teapot("No tea today.")), headers={"X-Request-ID": "request-one"})

        assert answer.content == (
            b'{"type":"/errors#TEAPOT_ON_STRIKE","title":"The teapot is on strike","status":418,'
            b'"detail":"No tea today.","instance":"/x","code":"TEAPOT_ON_STRIKE","request_id":"request-one","errors":[]}'
        )
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["content-length"] == str(len(answer.content))
        assert answer.headers["x-union"] == "brewers"

    async def test_an_envelope_has_its_members_in_order_and_a_time_in_utc(self):
        answer = await ask(raising(Teapot("No tea today."), "envelope"))

        assert list(answer.json()) == ["success", "error", "timestamp", "path", "request_id"]
        assert answer.headers["content-type"] == "application/json"
        stamped = datetime.fromisoformat(answer.json()["timestamp"])
        assert stamped.utcoffset().total_seconds() == 0
        assert abs((datetime.now(UTC) - stamped).total_seconds()) < 60

    @pytest.mark.parametrize(("form", "members"), [("problem", PROBLEM), ("envelope", ENVELOPE)])
    @pytest.mark.parametrize(
        "error",
        [
            Teapot(),
            HTTPException(404),
            HTTPException(418, "x"),
            RuntimeError("x"),
            BadRequest(errors=[FieldError(("body", 0, "a"), "m", "t")]),
        ],
        ids=repr,
    )
    async def test_the_types_of_the_members_never_change(self, form, members, error):
        body = (await ask(raising(error, form))).json()

        assert set(body) == members
        details = body["errors"] if form == "problem" else body["error"]["details"]
        texts = [body[name] for name in ("type", "title", "detail", "instance", "code", "request_id") if name in body]
        assert all(isinstance(text, str) and text for text in texts)
        assert isinstance(details, list)
        assert all(set(detail) == {"loc", "msg", "type"} for detail in details)

    async def test_head_tells_the_same_and_sends_nothing(self):
        _, served = seamed()
        answer = await call(served, scope_of("/nothing", method="HEAD"))

        assert answer.status == 404
        assert int(answer.headers["content-length"]) > 0


class TestStatuses:
    @pytest.mark.parametrize("status", [*range(400, 432), 451, 499, *range(500, 512), 599])
    async def test_every_status_has_a_code_and_those_of_the_tree_have_the_trees(self, status):
        answer = await ask(raising(HTTPException(status, "Because.")))
        body = answer.json()

        assert (answer.status_code, body["status"], body["detail"]) == (status, status, "Because.")
        assert body["code"].replace("_", "").isalpha()
        assert body["code"].isupper()
        codes = {entry.code for entry in catalogue() if entry.status == status}
        assert not codes or body["code"] in codes

    @pytest.mark.parametrize("status", [204, 205, 304])
    async def test_a_status_without_content_is_sent_without(self, status):
        answer = await ask(raising(HTTPException(status, headers={"ETag": '"1"'})))

        assert (answer.status_code, answer.content) == (status, b"")
        assert answer.headers["etag"] == '"1"'
        assert "content-type" not in answer.headers

    async def test_a_status_that_nobody_knows_is_answered(self):
        assert (await ask(raising(HTTPException(299, "Odd.")))).status_code == 299

    async def test_a_redirect_that_is_raised_goes_where_it_says(self):
        answer = await ask(raising(HTTPException(307, headers={"Location": "/y"})))

        assert (answer.status_code, answer.headers["location"]) == (307, "/y")

    @pytest.mark.parametrize("detail", [None, "", {"a": [1, "x"]}, ["x"], 7])
    async def test_a_detail_of_any_kind_becomes_a_text(self, detail):
        assert isinstance((await ask(raising(HTTPException(409, detail)))).json()["detail"], str)

    async def test_a_challenge_of_its_own_wins_over_ours(self):
        own = HTTPException(401, headers={"WWW-Authenticate": 'Basic realm="x"'})

        assert (await ask(raising(own))).headers.get_list("www-authenticate") == ['Basic realm="x"']
        assert (await ask(raising(HTTPException(401)))).headers["www-authenticate"] == "Bearer"
        assert (await ask(raising(NotAuthenticated()))).headers["www-authenticate"] == "Bearer"
        assert 'error="invalid_token"' in (await ask(raising(InvalidToken()))).headers["www-authenticate"]

    @pytest.mark.parametrize(
        ("error", "seconds"),
        [
            (RateLimited(retry_after=0.2), "1"),
            (RateLimited(retry_after=61.7), "62"),
            (ServiceUnavailable(), "5"),
            (HTTPException(503), "5"),
            (HTTPException(503, headers={"Retry-After": "120"}), "120"),
            (RateLimited(), None),
        ],
    )
    async def test_when_to_come_back_is_said_in_whole_seconds(self, error, seconds):
        assert (await ask(raising(error))).headers.get("retry-after") == seconds


class TestMethods:
    async def test_a_405_names_the_methods_of_included_routers_too(self):
        from fastapi import APIRouter

        app, served = seamed()
        inner, outer = APIRouter(), APIRouter(prefix="/v1")

        @inner.get("/things/{thing}")
        async def read(thing: int) -> int:
            return thing

        @inner.delete("/things/{thing}")
        async def delete(thing: int) -> None: ...

        @inner.post("/things")
        async def create() -> None: ...

        outer.include_router(inner)
        app.include_router(outer, prefix="/api")

        assert (await ask(served, "PUT", "/api/v1/things/7")).headers["allow"] == "DELETE, GET"
        assert (await ask(served, "GET", "/api/v1/things")).headers["allow"] == "POST"

    async def test_a_405_of_a_service_below_a_path_names_them_too(self):
        app, served = seamed()
        app.root_path = "/shop"

        @app.get("/things")
        async def things() -> None: ...

        assert (await ask(served, "PUT", "/shop/things")).headers["allow"] == "GET"

    async def test_one_that_a_handler_raises_names_them_too(self):
        assert (await ask(raising(MethodNotAllowed()))).headers["allow"] == "GET, POST"


class Kind(Enum):
    A = "a"


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int


class Dog(BaseModel):
    kind: Literal["dog"]
    name: Annotated[str, StringConstraints(pattern="^[a-z]{1,3}$", max_length=3)]


class Everything(BaseModel):
    model_config = ConfigDict(extra="forbid")

    pet: Annotated[Cat | Dog, Field(discriminator="kind")]
    either: Cat | Dog
    number: int
    small: Annotated[float, Field(lt=1)]
    flag: bool
    when: datetime
    day: date
    id: UUID
    mail: EmailStr
    url: AnyUrl
    address: IPv4Address
    kind: Kind
    word: Literal["a", "b"]
    parsed: Json[int]
    mapping: dict[str, int]
    several: list[int]
    checked: str

    @field_validator("checked")
    @classmethod
    def check(cls, value: str) -> str:
        raise ValueError("It is not what it should be.")


@cache
def validating():
    app, served = seamed()

    @app.post("/{number}")
    async def everything(
        number: int,
        body: Everything,
        flag: Annotated[bool, Query()],
        when: datetime,
        x_number: Annotated[int, Header()],
        session: Annotated[int, Cookie()],
        parsed: Json[int],
    ) -> None: ...

    return served


class TestValidation:
    @given(
        st.text("abcdefghijklmnopqrstuvwxyzäöü0123456789-_.@ ", min_size=12, max_size=40).filter(
            lambda text: text.strip() == text
        )
    )
    def test_nothing_that_was_sent_is_repeated_whatever_its_type(self, text):
        secret = f"s3cret{text}"
        body = dict.fromkeys(Everything.model_fields, secret)
        body |= {
            "pet": {"kind": secret},
            "either": {"kind": secret, "lives": secret, "name": secret},
            "mapping": {"key": secret},
            "several": [secret],
        }
        headers = {"x-number": secret.encode(), "cookie": f"session={secret}".encode()}
        parameters = {"flag": secret, "when": secret, "parsed": secret}
        answer = asyncio.run(ask(validating(), "POST", f"/{secret}", json=body, headers=headers, params=parameters))

        assert answer.status_code == 422
        shown = json.dumps([answer.json()["errors"], answer.json()["detail"]], ensure_ascii=False)
        assert secret not in shown
        assert "s3cret" not in shown
        places = {tuple(error["loc"][:2]) for error in answer.json()["errors"]}
        assert places >= {("path", "number"), ("header", "x-number"), ("cookie", "session"), ("query", "parsed")}
        # What is made up may be an e-mail address.
        assert places >= {("body", name) for name in Everything.model_fields} - {("body", "mail")}

    async def test_a_wrong_tag_is_told_by_the_ones_that_are_right(self):
        app, served = seamed()

        @app.post("/pets")
        async def pets(pet: Annotated[Cat | Dog, Field(discriminator="kind")]) -> None: ...

        (error,) = (await ask(served, "POST", "/pets", json={"kind": "hunter2"})).json()["errors"]

        assert error["type"] == "union_tag_invalid"
        assert "'cat', 'dog'" in error["msg"]
        assert "hunter2" not in error["msg"]

    async def test_the_message_of_a_validator_is_told_as_it_was_written(self):
        answer = await ask(validating(), "POST", "/1", json={"checked": "x"})

        messages = {tuple(error["loc"]): error["msg"] for error in answer.json()["errors"]}
        assert messages["body", "checked"] == "It is not what it should be."

    @pytest.mark.parametrize(
        ("content", "media", "status"),
        [
            (b"", "application/json", 422),
            (b"{", "application/json", 400),
            (b"{]", "application/vnd.x+json", 400),
            (b"\xff\xfe\x00", "application/json", 400),
            (b'"\xc3\x28"', "application/json", 400),
            (b"[" * 50_000, "application/json", 400),
            (b"[" * 50_000 + b"]" * 50_000, "application/json", 400),
            (b"9" * 5_000, "application/json", 400),
            (b"NaN", "application/json", 422),
            (b'{"\\ud800": "\\udfff"}', "application/json", 422),
            (b'{"a": 1}', "text/plain", 422),
            (b'{"a": 1}', "nonsense", 422),
            (b"\x00" * 100, "application/octet-stream", 422),
        ],
        ids=lambda value: repr(value)[:30],
    )
    async def test_no_body_is_more_than_a_clients_error(self, content, media, status):
        answer = await ask(validating(), "POST", "/1", content=content, headers={"content-type": media})

        assert answer.status_code == status
        assert set(answer.json()) == PROBLEM

    async def test_where_a_body_stops_being_json_is_said(self):
        answer = await ask(
            validating(), "POST", "/1", content=b'{"a": tru', headers={"content-type": "application/json"}
        )

        assert (answer.status_code, answer.json()["code"]) == (400, "BAD_REQUEST")
        assert answer.json()["errors"] == [
            {"loc": ["body", 6], "msg": "JSON decode error: Expecting value", "type": "json_invalid"}
        ]

    async def test_a_parameter_that_should_be_json_is_a_422_that_names_it(self):
        app, served = seamed()

        @app.get("/search")
        async def search(wanted: Json[int]) -> None: ...

        answer = await ask(served, path="/search?wanted={")

        assert (answer.status_code, answer.json()["code"]) == (422, "VALIDATION_ERROR")
        (error,) = answer.json()["errors"]
        assert error["loc"] == ["query", "wanted"]
        assert error["msg"].count("at line 1") == 1

    @given(st.binary(max_size=200))
    def test_no_bytes_at_all_break_it(self, content):
        headers = {"content-type": "application/json"}
        answer = asyncio.run(ask(validating(), "POST", "/1", content=content, headers=headers))

        assert answer.status_code in {400, 422}
        assert set(answer.json()) == PROBLEM


class TestDefects:
    async def test_an_answer_that_is_not_what_the_route_promises_is_a_500_without_it(self, lines):
        app, served = seamed()

        @app.get("/x")
        async def x() -> Cat:
            return {"kind": "hunter2", "password": "hunter2"}

        answer = await ask(served)

        assert (answer.status_code, answer.json()["code"]) == (500, "INTERNAL_ERROR")
        assert "hunter2" not in answer.text
        assert len(lines(level="error", message="Unhandled exception")) == 1

    async def test_an_answer_that_cannot_be_written_is_a_500(self, lines):
        app, served = seamed()

        @app.get("/x")
        async def x() -> JSONResponse:
            return JSONResponse({"value": object()})

        assert (await ask(served)).json()["code"] == "INTERNAL_ERROR"

    @pytest.mark.parametrize(
        "error",
        [
            BadRequest(errors=[FieldError(("body", object()), "m", "t")]),
            BadRequest(errors=[FieldError(("body", 2**70), "m", "t")]),
            BadRequest("lone \ud800"),
            BadRequest(errors=[FieldError(("body", "\udfff"), "\ud800", "t")]),
        ],
        ids=["object", "big", "message", "location"],
    )
    @pytest.mark.parametrize("form", ["problem", "envelope"])
    async def test_an_error_that_holds_what_json_does_not_know_is_told(self, error, form):
        answer = await ask(raising(error, form))

        assert answer.status_code == 400
        json.loads(answer.content)

    async def test_a_path_with_lone_surrogates_is_not_found_like_any_other(self):
        _, served = seamed()
        answer = await call(served, scope_of() | {"path": "/\ud800"})

        assert (answer.status, json.loads(answer.body)["instance"]) == (404, "/\ud800")

    async def test_a_defect_that_is_raised_from_another_says_neither(self):
        def fail():
            try:
                raise KeyError("hunter2")
            except KeyError as error:
                raise RuntimeError("hunter2") from error

        app, served = seamed()

        @app.get("/x")
        def x() -> None:
            fail()

        answer = await ask(served)
        assert (answer.status_code, "hunter2" in answer.text) == (500, False)

    def test_problems_are_told_without_a_pipeline_too(self):
        app = FastAPI()
        ErrorSeam().install(app)

        answer = asyncio.run(ask(app, path="/nothing"))
        assert (answer.status_code, answer.json()["request_id"]) == (404, "")

    def test_whatever_is_no_error_of_the_tree_says_nothing_of_itself(self):
        assert "hunter2" not in problem_of(ValueError("hunter2")).message
