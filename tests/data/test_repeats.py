"""While developing, a query for each row is told with its line; elsewhere nobody looks."""

from pathlib import Path

import pytest
from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse
from sqlalchemy import Engine, event, select

from mainspring.data import ReadSession, RepeatedQueries, database_of
from mainspring.data._queries import _before, note, record_queries
from tests.observability.capture import json_lines


@pytest.fixture
def build_app(compose, library):
    router = APIRouter()

    @router.get("/books/{rows}")
    async def books(rows: int, session: ReadSession) -> None:
        for _ in range(rows):
            await session.scalars(select(library.Book))  # for each row

    @router.get("/stream")
    async def stream(request: Request) -> StreamingResponse:
        async def rows():
            for _ in range(20):
                async with database_of(request).read() as session:
                    await session.scalars(select(library.Book))
                yield b"row"

        return StreamingResponse(rows())

    return compose(router, api_prefix="")


@pytest.fixture
def told():
    with json_lines() as lines:
        yield lambda: lines(message="The same statement again and again in one request")


def line_of(text):
    lines = Path(__file__).read_text(encoding="utf-8").splitlines()
    return next(number for number, line in enumerate(lines, 1) if text in line)


class TestWhileDeveloping:
    pytestmark = pytest.mark.settings(environment="development")

    async def test_what_is_sent_for_each_row_is_told_with_line_and_fix(self, client, told):
        await client.get("/books/11")
        (line,) = told()
        told_of = line["extra"]
        assert (line["level"], told_of["times"], told_of["route"]) == ("warning", 11, "/books/{rows}")
        assert told_of["where"] == f"{__file__}:{line_of('# for each row')}"
        assert "library_book" in told_of["sql"]
        assert "selectinload" in told_of["advice"]

    async def test_ten_times_is_not_told(self, client, told):
        await client.get("/books/10")
        assert told() == []

    async def test_requests_are_counted_apart(self, client, told):
        for _ in range(3):
            await client.get("/books/9")
        assert told() == []

    async def test_what_a_stream_asks_for_while_it_runs_is_its_business(self, client, told):
        assert (await client.get("/stream")).text == "row" * 20
        assert told() == []


@pytest.mark.parametrize("environment", ["test", "staging", "production"])
def test_elsewhere_no_request_is_watched(environment, compose):
    from mainspring.settings import Settings

    settings = Settings(environment="test").model_copy(update={"environment": environment})
    assert not any(isinstance(stage, RepeatedQueries) for stage in compose()(settings).stages)


async def test_a_process_that_never_records_has_no_listener(database, library):
    if event.contains(Engine, "before_cursor_execute", _before):
        event.remove(Engine, "before_cursor_execute", _before)
    async with database.read() as session:
        await session.scalars(select(library.Book))
    assert not event.contains(Engine, "before_cursor_execute", _before)


def test_what_does_not_pass_sqlalchemy_can_be_counted():
    assert note("SELECT 1") is None
    with record_queries() as queries:
        query = note("SELECT 1")
        query.seconds = 0.5
        assert note("COMMIT") is None
    assert [(q.sql, q.seconds, q.place.partition(":")[0]) for q in queries] == [("SELECT 1", 0.5, __file__)]
