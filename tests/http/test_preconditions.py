"""Conditional requests: what a client has read decides whether it gets, or may change, a resource."""

from dataclasses import dataclass

import pytest
from fastapi import FastAPI
from httpx2 import ASGITransport, AsyncClient

from mainspring.errors import ConcurrentUpdate
from mainspring.http import ErrorSeam, IfMatch, IfNoneMatch, RequiredIfMatch


@dataclass
class Thing:
    version: int = 7


@pytest.fixture
def thing():
    return Thing()


@pytest.fixture
async def client(thing):
    app = FastAPI()
    ErrorSeam().install(app)

    @app.get("/thing")
    async def read(if_none_match: IfNoneMatch) -> int:
        if_none_match.check(thing)
        return thing.version

    @app.patch("/thing")
    async def change(if_match: IfMatch) -> int:
        if_match.check(thing)
        thing.version += 1
        if_match.tag(thing)
        return thing.version

    @app.put("/thing")
    async def put(if_match: RequiredIfMatch) -> int:
        if_match.check(thing)
        return thing.version

    @app.post("/race")
    async def race(if_match: IfMatch) -> None:
        if_match.check(thing)
        raise ConcurrentUpdate

    async with AsyncClient(transport=ASGITransport(app), base_url="http://testserver") as client:
        yield client


class TestReading:
    async def test_a_resource_comes_with_its_tag(self, client):
        answer = await client.get("/thing")
        assert (answer.status_code, answer.headers["etag"], answer.json()) == (200, '"7"', 7)

    @pytest.mark.parametrize("known", ['"7"', 'W/"7"', '"6", "7"', '"6",W/"7"', "*"])
    async def test_what_the_client_has_already_is_not_sent_again(self, client, known):
        answer = await client.get("/thing", headers={"If-None-Match": known})
        assert (answer.status_code, answer.headers["etag"], answer.content) == (304, '"7"', b"")
        assert "content-type" not in answer.headers

    @pytest.mark.parametrize("known", ['"6"', '"77"', '""', 'W/"6", "8"'])
    async def test_anything_else_is_sent(self, client, known):
        assert (await client.get("/thing", headers={"If-None-Match": known})).status_code == 200

    @pytest.mark.parametrize("value", ["7", '"7', '"7" "8"', "W/7", '*, "7"', ",", "w/" * 5000])
    async def test_what_is_no_list_of_tags_is_refused(self, client, value):
        answer = await client.get("/thing", headers={"If-None-Match": value})
        assert answer.status_code == 400
        assert "If-None-Match is * or a list of entity tags" in answer.json()["detail"]


class TestChanging:
    @pytest.mark.parametrize("seen", ['"7"', 'W/"7"', '"3", "7"', "*"])
    async def test_goes_on_while_the_resource_is_what_the_client_has_seen(self, client, seen):
        answer = await client.patch("/thing", headers={"If-Match": seen})
        assert (answer.status_code, answer.headers["etag"]) == (200, '"8"')

    async def test_is_refused_once_it_has_changed(self, client, thing):
        answer = await client.patch("/thing", headers={"If-Match": '"6"'})
        assert (answer.status_code, answer.json()["code"]) == (412, "PRECONDITION_FAILED")
        assert thing.version == 7

    async def test_goes_on_without_the_header_unless_it_is_required(self, client):
        assert (await client.patch("/thing")).status_code == 200
        refused = await client.put("/thing")
        assert (refused.status_code, refused.json()["code"]) == (428, "PRECONDITION_REQUIRED")
        assert (await client.put("/thing", headers={"If-Match": '"8"'})).status_code == 200

    async def test_a_race_that_is_noticed_at_the_write_is_a_failed_precondition_too(self, client):
        assert (await client.post("/race", headers={"If-Match": '"7"'})).status_code == 412
        assert (await client.post("/race")).status_code == 409

    async def test_both_headers_are_documented(self, client):
        paths = (await client.get("/openapi.json")).json()["paths"]["/thing"]
        assert [p["name"] for p in paths["get"]["parameters"]] == ["if-none-match"]
        assert [p["name"] for p in paths["put"]["parameters"]] == ["if-match"]
