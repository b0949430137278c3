"""Budgets of statements, for a service in process, on SQLite and PostgreSQL."""

import asyncio
import re
from pathlib import Path

import pytest
from fastapi import APIRouter
from sqlalchemy import select, text

from mainspring.data import ReadSession, WriteSession
from mainspring.testing import exact_queries, no_repeated_queries, query_budget


@pytest.fixture
def build_app(compose, note):
    router = APIRouter()

    @router.get("/twice")
    async def twice(session: ReadSession) -> None:
        await session.scalars(select(note.text))
        await session.scalars(select(note.text).order_by(note.text))

    @router.get("/each")
    async def each(session: ReadSession, rows: int = 2) -> None:
        for number in range(rows):
            await session.scalars(select(note).where(note.text.in_(["x"] * (number + 1))))

    @router.post("/notes")
    async def write(what: str, session: WriteSession) -> None:
        async with session.begin_nested():
            session.add(note(text=what))
        await session.scalars(select(note.text))

    return compose(router, api_prefix="")


def line_of(text):
    lines = Path(__file__).read_text(encoding="utf-8").splitlines()
    return next(number for number, line in enumerate(lines, 1) if text in line)


class TestQueryBudget:
    async def test_that_is_kept_says_nothing_and_gives_what_was_sent(self, client):
        with query_budget(2) as queries:
            await client.get("/twice")
        assert len(queries) == 2
        assert all(query.seconds > 0 for query in queries)

    async def test_that_is_exceeded_lists_text_duration_and_line_of_each(self, client):
        with pytest.raises(AssertionError) as raised, query_budget(1):
            await client.get("/twice")
        said = str(raised.value)
        assert said.startswith("2 statements were sent, where 1 may be:\n")
        assert said.count("SELECT plugin_note.text") == 2
        assert len(re.findall(r"\d+\.\d\d ms  SELECT", said)) == 2
        first = line_of("await session.scalars(select(note.text))")
        assert f"at {__file__}:{first}\n" in said
        assert said.endswith(f"at {__file__}:{first + 1}")

    async def test_the_ends_of_transactions_and_savepoints_are_not_counted(self, client):
        with exact_queries(2) as queries:
            await client.post("/notes?what=one")
        assert [query.sql.split()[0] for query in queries] == ["INSERT", "SELECT"]

    async def test_a_statement_that_fails_is_counted_as_such(self, database):
        with query_budget(1) as queries:
            async with database.write() as session:
                with pytest.raises(Exception, match="nowhere"):
                    async with session.begin_nested():
                        await session.execute(text("SELECT * FROM nowhere"))
        assert [query.seconds for query in queries] == [None]
        assert "failed" in str(queries)

    async def test_sessions_of_the_test_and_of_tasks_it_starts_count_as_well(self, fresh_database, note):
        async def look() -> None:
            async with fresh_database.read() as session:
                await session.scalars(select(note.text))

        with exact_queries(4):
            await look()
            await asyncio.gather(look(), look(), look())

    async def test_what_others_do_at_the_same_time_is_not_counted(self, fresh_database, note):
        async def look() -> None:
            async with fresh_database.read() as session:
                await session.scalars(select(note.text))

        async def count() -> int:
            with query_budget(100) as queries:
                await look()
            return len(queries)

        assert await asyncio.gather(count(), count(), look()) == [1, 1, None]

    async def test_budgets_nest(self, client):
        with exact_queries(3):
            await client.get("/each?rows=1")
            with exact_queries(2):
                await client.get("/twice")

    async def test_one_statement_is_one_also_in_words(self, client):
        with pytest.raises(AssertionError, match="1 statement was sent, where 0 may be"), query_budget(0):
            await client.get("/each?rows=1")

    async def test_an_error_of_the_block_is_not_hidden(self, client):
        with pytest.raises(ZeroDivisionError), query_budget(0):
            await client.get("/twice")
            raise ZeroDivisionError


async def test_too_few_statements_fail_where_the_number_is_exact(client):
    with pytest.raises(AssertionError, match="2 statements were sent, where 3 should be"), exact_queries(3):
        await client.get("/twice")


class TestRepeatedQueries:
    async def test_two_rows_are_enough_to_be_found(self, client):
        place = f"{__file__}:{line_of('await session.scalars(select(note).where')}"
        with pytest.raises(AssertionError) as raised, no_repeated_queries():
            await client.get("/each?rows=2")
        assert f"2 times from {place}: SELECT" in str(raised.value)
        assert "IN (…)" in str(raised.value)
        assert "selectinload" in str(raised.value)

    async def test_different_lines_may_send_the_same(self, client):
        with no_repeated_queries():
            await client.get("/twice")

    async def test_so_may_a_line_that_is_allowed_to(self, client):
        with no_repeated_queries(most=2):
            await client.get("/each?rows=2")
