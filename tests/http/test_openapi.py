"""The API description says what the service does, of its failures too, and does not disturb what is in it."""

import json
from enum import Enum
from typing import Annotated

import jsonschema_rs
import pytest
from fastapi import APIRouter, Depends, FastAPI
from fastapi.security import OAuth2PasswordBearer
from pydantic import BaseModel

from mainspring.http import ErrorSeam, Pipeline, RequestId, describe_api

from .conftest import call, scope_of

NAMES = {"problem": "Problem", "envelope": "ErrorEnvelope"}
MEDIA = {"problem": "application/problem+json", "envelope": "application/json"}


class Order(BaseModel):
    count: int


class Own(BaseModel):
    why: str


@pytest.fixture(params=["problem", "envelope"])
def form(request):
    return request.param


def described(form="problem", *routers, **options):
    app = FastAPI()
    ErrorSeam(form).install(app)
    describe_api(app, form, **options)
    for router in routers:
        app.include_router(router)
    return app


def references(part):
    if isinstance(part, dict):
        for key, value in part.items():
            if key == "$ref":
                yield value
            yield from references(value)
    elif isinstance(part, list):
        for item in part:
            yield from references(item)


def orders():
    router = APIRouter()

    @router.post("/orders", responses={404: {"description": "No such article."}, 409: {"model": Own}})
    async def place(order: Order) -> Order: ...

    @router.get("/orders", responses={503: {"model": Own}, "5XX": {"description": "Bad day."}})
    async def read() -> Order: ...

    @router.delete("/orders", status_code=204)
    async def delete(limit: int) -> None: ...

    return router


def taking(name):
    """A route that takes and gives a model of this name."""
    model = type(name, (BaseModel,), {"__annotations__": {"mine": int}})
    router = APIRouter()

    @router.post("/x")
    async def x(body: model) -> model: ...

    return router


class TestResponses:
    def test_every_operation_fails_in_the_services_form(self, form):
        document = described(form, orders()).openapi()

        for operation in document["paths"]["/orders"].values():
            content = operation["responses"]["default"]["content"]
            assert content == {MEDIA[form]: {"schema": {"$ref": f"#/components/schemas/{NAMES[form]}"}}}
        post = document["paths"]["/orders"]["post"]["responses"]
        assert post["404"]["content"] == post["422"]["content"] == post["default"]["content"]
        assert post["404"]["description"] == "No such article."
        assert "5XX" in document["paths"]["/orders"]["get"]["responses"]

    def test_an_answer_with_a_model_of_its_own_keeps_it(self, form):
        document = described(form, orders()).openapi()

        for method, status in (("post", "409"), ("get", "503")):
            content = document["paths"]["/orders"][method]["responses"][status]["content"]
            assert content["application/json"]["schema"] == {"$ref": "#/components/schemas/Own"}

    def test_a_default_that_a_route_declares_is_kept(self, form):
        router = APIRouter()

        @router.get("/x", responses={"default": {"model": Own}})
        async def x() -> None: ...

        document = described(form, router).openapi()
        content = document["paths"]["/x"]["get"]["responses"]["default"]["content"]
        assert content["application/json"]["schema"] == {"$ref": "#/components/schemas/Own"}

    def test_success_is_described_as_fastapi_describes_it(self, form):
        plain = FastAPI()
        plain.include_router(orders())
        document = described(form, orders()).openapi()

        for method, operation in plain.openapi()["paths"]["/orders"].items():
            for status in (s for s in operation["responses"] if s.startswith("2")):
                assert document["paths"]["/orders"][method]["responses"][status] == operation["responses"][status]


class TestSchemas:
    def test_every_reference_leads_somewhere_and_no_schema_is_left_over(self, form):
        document = described(form, orders()).openapi()

        used = {reference.removeprefix("#/components/schemas/") for reference in references(document)}
        assert used == set(document["components"]["schemas"])

    @pytest.mark.parametrize("name", ["Problem", "ErrorEnvelope", "FieldError"])
    def test_a_model_of_the_service_keeps_its_name_and_its_shape(self, form, name):
        document = described(form, taking(name)).openapi()

        assert set(document["components"]["schemas"][name]["properties"]) == {"mine"}
        assert document["paths"]["/x"]["post"]["requestBody"]["content"]["application/json"]["schema"] == {
            "$ref": f"#/components/schemas/{name}"
        }

    @pytest.mark.parametrize(
        "name", ["Problem", "ErrorEnvelope", "FieldError", "ValidationError", "HTTPValidationError"]
    )
    def test_whatever_a_model_is_called_no_reference_leads_nowhere(self, form, name):
        # FastAPI takes the last two names for itself.
        document = described(form, taking(name)).openapi()

        used = {reference.removeprefix("#/components/schemas/") for reference in references(document)}
        assert used <= set(document["components"]["schemas"])

    @pytest.mark.parametrize("path", ["/nothing", "/orders?limit=x"])
    async def test_real_answers_hold_against_the_schema(self, form, path):
        app = described(form, orders())
        path, _, query = path.partition("?")
        served = Pipeline(app, stages=[RequestId()], render=ErrorSeam(form).render)
        answer = await call(served, scope_of(path, method="DELETE") | {"query_string": query.encode()})

        document = app.openapi()
        schema = {"$ref": f"#/components/schemas/{NAMES[form]}", "components": document["components"]}
        assert answer.status in {404, 422}
        jsonschema_rs.validate(schema, json.loads(answer.body))

    def test_the_schemas_are_sound(self, form):
        for schema in described(form, orders()).openapi()["components"]["schemas"].values():
            jsonschema_rs.meta.validate({"$schema": "https://json-schema.org/draft/2020-12/schema"} | schema)


class TestDocument:
    def test_an_application_without_routes_can_be_described(self, form):
        assert described(form).openapi()["paths"] == {}

    def test_it_is_made_once_and_anew_when_routes_are_added(self, form):
        app = described(form)
        first = app.openapi()
        assert app.openapi() is first

        app.include_router(orders())

        assert "default" in app.openapi()["paths"]["/orders"]["get"]["responses"]
        assert app.openapi() is app.openapi()

    def test_a_document_that_was_thrown_away_is_made_anew(self, form):
        app = described(form, orders())
        app.openapi()
        app.openapi_schema = None

        assert "default" in app.openapi()["paths"]["/orders"]["get"]["responses"]

    @pytest.mark.parametrize(
        ("given", "prefix", "placed"),
        [
            ("auth/login", "/api/v1", "api/v1/auth/login"),
            ("auth/login", "", "auth/login"),
            ("/auth/login", "/api/v1", "/auth/login"),
            ("https://id.example.com/token", "/api/v1", "https://id.example.com/token"),
        ],
    )
    def test_where_to_sign_in_is_below_the_prefix(self, given, prefix, placed):
        router = APIRouter()
        scheme = OAuth2PasswordBearer(tokenUrl=given)

        @router.get("/me")
        async def me(token: Annotated[str, Depends(scheme)]) -> None: ...

        for _ in range(2):  # the second time it must not move again
            document = described("problem", router, api_prefix=prefix).openapi()
            (flow,) = (s["flows"]["password"] for s in document["components"]["securitySchemes"].values())
            assert flow["tokenUrl"] == placed

    def test_parts_that_are_no_operations_are_left_alone(self, form):
        class Tag(Enum):
            X = "x"

        router = APIRouter()

        @router.get("/x", tags=[Tag.X], openapi_extra={"x-own": 1})
        async def x() -> None: ...

        app = described(form, router)
        app.openapi()["paths"]["/x"]["parameters"] = []
        app.openapi()["paths"]["/x"]["x-note"] = "kept"

        assert app.openapi()["paths"]["/x"]["get"]["x-own"] == 1
