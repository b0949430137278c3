"""Defects, as Sentry gets them: on a real socket, once, and without what they are about."""

import time
from contextlib import asynccontextmanager

import httpx2
import pytest
import sentry_sdk
from fastapi import APIRouter
from pydantic import BaseModel
from sqlalchemy import text

from mainspring.data import WriteSession
from mainspring.errors import ServiceUnavailable
from mainspring.kernel import Module
from mainspring.settings import BootError
from mainspring.testing import running
from tests.observability.capture import json_lines
from tests.observability.collector import listening

PASSWORD, HEADER, QUERY, ROW = "p4ssw0rd-9c1", "dG9rZW4taW4tYS1oZWFkZXI", "token-in-a-query-77ab", "v4lue-in-a-row-88d"


class Person(BaseModel):
    email: str
    password: str


router = APIRouter()


@router.post("/people/{person_id}")
async def register(person_id: int, person: Person) -> None:
    secret_local = person.password
    sentry_sdk.add_breadcrumb(message=f"password={secret_local}", data={"any": secret_local})
    raise RuntimeError(f"Cannot keep {person.model_dump()}")


@router.get("/rows")
async def rows(session: WriteSession) -> None:
    await session.execute(text("SELECT :value FROM nowhere"), {"value": ROW})


@router.get("/busy")
async def busy() -> None:
    raise ServiceUnavailable("Later.")


@router.get("/told")
async def told() -> None:
    sentry_sdk.capture_message(f"password={PASSWORD}")


@pytest.fixture
def sentry():
    with listening() as received:
        yield received


@pytest.fixture(autouse=True)
def _the_process_has_no_client_afterwards():
    yield
    sentry_sdk.get_global_scope().set_client(None)


@pytest.fixture
def reported(compose_service, sentry):
    """Runs the service of this module with error reports; gives a client of it."""

    @asynccontextmanager
    async def reported(**values):
        dsn = f"http://public-key@127.0.0.1:{sentry.port}/42"
        app = compose_service(Module(name="shop", routers=(router,)), api_prefix="", **{"sentry_dsn": dsn} | values)
        async with (
            running(app) as served,
            httpx2.AsyncClient(transport=httpx2.ASGITransport(served), base_url="http://shop.test") as client,
        ):
            yield client

    return reported


async def test_a_defect_is_reported_once_with_what_finds_it_again(reported, sentry):
    async with reported() as client:
        answer = await client.post("/people/7", json={"email": "a", "password": PASSWORD})
    (event,) = sentry.events
    assert event["transaction"] == "POST /people/{person_id}"
    assert event["tags"]["request_id"] == answer.headers["x-request-id"]
    assert event["tags"]["trace_id"]
    assert (event["environment"], event["release"]) == ("test", "shop@0.1.0")
    (exception,) = event["exception"]["values"]
    assert exception["type"] == "RuntimeError"
    assert exception["stacktrace"]["frames"][-1]["function"] == "register"


async def test_no_secret_is_in_any_byte_that_is_sent(reported, sentry):
    bearer = {"authorization": f"Bearer {HEADER}", "cookie": f"session={HEADER}"}
    async with reported() as client:
        await client.post("/people/7", json={"email": "a", "password": PASSWORD}, headers=bearer, params={"t": QUERY})
        assert (await client.get("/rows", headers=bearer)).status_code == 500
        await client.get("/told")
    assert len(sentry.events) == 3
    for event in sentry.events:
        assert not {"request", "user", "breadcrumbs", "extra"} & event.keys()
        for exception in event.get("exception", {}).get("values", ()):
            assert not any("vars" in frame for frame in exception["stacktrace"]["frames"])
    for secret in (PASSWORD, HEADER, QUERY, ROW):
        assert secret.encode() not in sentry.raw


async def test_what_a_handler_answers_is_no_defect(reported, sentry):
    async with reported() as client:
        for path in ("/busy", "/nowhere", "/people/x"):
            assert (await client.get(path)).status_code >= 400
    assert sentry.events == []


async def test_a_storm_of_defects_does_not_become_one_of_reports(reported, sentry):
    with json_lines() as lines:
        async with reported() as client:
            began = time.monotonic()
            for _ in range(40):
                assert (await client.get("/rows")).status_code == 500
            took = time.monotonic() - began
        assert len(sentry.events) <= 10 * (int(took) + 2)
        (said,) = lines(message="Defects were not reported: there were too many at once")
    assert len(sentry.events) + said["extra"]["defects"] == 40


async def test_a_sentry_that_hangs_holds_nothing_up(reported, sentry):
    sentry.held.clear()
    async with reported() as client:
        began = time.monotonic()
        assert (await client.get("/rows")).status_code == 500
        assert time.monotonic() - began < 2
        ending = time.monotonic()
    assert time.monotonic() - ending < 6
    sentry.held.set()


@pytest.mark.parametrize("dsn", ["nonsense", "https://sentry.example/1", "https://key@sentry.example"])
def test_a_dsn_that_is_none_is_refused_and_not_repeated(compose_service, dsn):
    with pytest.raises(BootError, match="It is no DSN") as raised:
        compose_service(sentry_dsn=dsn)
    assert dsn not in str(raised.value)
