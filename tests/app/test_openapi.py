"""The API description of a whole service is sound, and its operations have names that generated clients can use."""

from enum import Enum

import pytest
import schemathesis
from fastapi import APIRouter
from pydantic import BaseModel

from mainspring.accounts import AccountsSettings, accounts_module
from mainspring.app import create_app
from mainspring.kernel import Module


class Shelf(Enum):
    TOP = "top shelf"


class Thing(BaseModel):
    name: str


def module(name, *handlers, tags=None):
    router = APIRouter(tags=tags)
    for handler in handlers:

        async def endpoint(thing: Thing) -> Thing: ...

        endpoint.__name__ = handler
        router.add_api_route(f"/{name}/{handler}", endpoint, methods=["POST"])
    return Module(name=name, routers=(router,))


def operation_ids(app):
    return {
        path.removeprefix("/api/v1"): operation["operationId"]
        for path, operations in app.openapi()["paths"].items()
        for operation in operations.values()
    }


class TestOperationIds:
    @pytest.mark.parametrize(
        ("tags", "handler", "expected"),
        [
            (["orders"], "place", "orders_place"),
            (["orders"], "orders_place", "orders_place"),
            (["order"], "orders_place", "order_orders_place"),
            (["Top Shelf"], "place", "top_shelf_place"),
            ([Shelf.TOP], "place", "top_shelf_place"),
            (["a-b", "other"], "place", "a_b_place"),
            (["place"], "place", "place"),
            (None, "place", "shop_place"),
            ([], "shop_place", "shop_place"),
        ],
    )
    def test_one_is_the_first_tag_and_the_handler(self, compose_service, tags, handler, expected):
        app = compose_service(module("shop", handler, tags=tags))

        assert operation_ids(app)[f"/shop/{handler}"] == expected

    def test_handlers_of_one_name_in_several_modules_have_different_ones(self, compose_service):
        app = compose_service(
            module("orders", "create", "read"),
            module("articles", "create", "read"),
            module("health", "live"),
            module("tagged", "create", tags=["invoices"]),
            module("tagged-too", "create", tags=["invoices"]),
        )

        ids = operation_ids(app)
        assert len(ids) == len(set(ids.values()))
        assert all(name.isidentifier() for name in ids.values())
        assert ids["/orders/create"] == "orders_create"

    def test_one_that_a_route_has_given_itself_is_kept(self, compose_service):
        router = APIRouter(tags=["x"])
        router.add_api_route("/own", lambda: None, operation_id="mine")

        assert operation_ids(compose_service(Module(name="m", routers=(router,))))["/own"] == "mine"


@pytest.mark.parametrize("form", ["problem", "envelope"])
class TestDocument:
    def app(self, tmp_path, form):
        url = f"sqlite:///{tmp_path}/test.db"
        settings = AccountsSettings(environment="test", database_url=url, error_format=form)
        modules = [accounts_module(settings, issuer="shop"), module("things", "create")]
        return create_app("shop", settings=settings, modules=modules, version="1.2.3", description="A shop.")

    def test_it_is_valid_and_says_whose_it_is(self, tmp_path, form):
        document = self.app(tmp_path, form).openapi()

        # Relative on purpose, as FastAPI documents it: the service does not know its own address.
        for scheme in document["components"]["securitySchemes"].values():
            scheme["flows"]["password"]["tokenUrl"] = "https://shop.example.com/token"
        schemathesis.openapi.from_dict(document).validate()
        assert document["info"] == {"title": "shop", "version": "1.2.3", "description": "A shop."}

    def test_every_operation_says_how_it_fails(self, tmp_path, form):
        document = self.app(tmp_path, form).openapi()

        for path in document["paths"].values():
            for operation in path.values():
                assert "default" in operation["responses"]
                assert "HTTPValidationError" not in str(operation["responses"])

    def test_readiness_is_described_as_it_is_answered(self, tmp_path, form):
        document = self.app(tmp_path, form).openapi()
        answers = document["paths"]["/health/ready"]["get"]["responses"]

        assert answers["503"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Readiness"}

    def test_where_to_sign_in_is_a_route_of_the_service(self, tmp_path, form):
        document = self.app(tmp_path, form).openapi()
        (scheme,) = document["components"]["securitySchemes"].values()

        assert f"/{scheme['flows']['password']['tokenUrl']}" in document["paths"]
