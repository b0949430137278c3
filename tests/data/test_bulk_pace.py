"""copy_rows: how far it reads ahead, and who else gets a turn meanwhile."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from itertools import pairwise
from typing import Any

import pytest
from sqlalchemy import func, select, text

from mainspring.data import copy_rows
from mainspring.testing import Schema
from tests.data.bulk_models import Entry, Ticket, WarehouseBase

# Of ten thousand characters each: more than any buffers of both sides hold together.
TOO_MANY = 5_000


@pytest.fixture
def database_schema() -> Schema:
    return Schema(tables=WarehouseBase.metadata)


async def count(database: Any, model: Any) -> int:
    async with database.read() as session:
        return await session.scalar(select(func.count()).select_from(model))


async def test_others_get_a_turn_between_any_two_batches(fresh_database):
    turns = 0

    async def take_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    seen: list[int] = []

    def rows() -> Iterator[tuple[int, int]]:
        for number in range(20_000):
            if number % 1_000 == 0:
                seen.append(turns)
            yield (1, number)

    async with fresh_database.write() as session:
        other = asyncio.create_task(take_turns())
        await copy_rows(session, Ticket, rows(), columns=["row", "seat"])
        other.cancel()
    assert len(seen) == 20
    assert all(earlier < later for earlier, later in pairwise(seen))


@pytest.mark.parametrize("kind", ["plain", "asynchronous"])
async def test_a_batch_is_read_when_the_one_before_was_handed_over(database, kind):
    read = 0

    def plain() -> Iterator[tuple[int, int]]:
        nonlocal read
        for number in range(2_500):
            read += 1
            yield (1, number)

    async def asynchronous() -> AsyncIterator[tuple[int, int]]:
        for row in plain():
            yield row

    told: list[tuple[int, int]] = []
    async with database.write() as session:
        source = plain() if kind == "plain" else asynchronous()
        await copy_rows(
            session, Ticket, source, columns=["row", "seat"], progress=lambda done: told.append((done, read))
        )
    assert told == [(1_000, 1_000), (2_000, 2_000), (2_500, 2_500)]


@pytest.mark.databases("postgresql")
async def test_no_more_is_read_than_buffers_hold_while_the_database_takes_nothing(fresh_database):
    read = 0

    def without_end() -> Iterator[dict[str, str]]:
        nonlocal read
        while True:
            read += 1
            yield {"what": "x" * 10_000}

    async def copy() -> None:
        async with fresh_database.write() as session:
            await copy_rows(session, Entry, without_end(), batch=10)

    async with fresh_database.write() as holder:
        # COPY may look at the columns, but not write.
        await holder.execute(text("LOCK TABLE warehouse_entry IN SHARE MODE"))
        copying = asyncio.create_task(copy())
        before = -1
        while not before == read > 0:
            assert read < TOO_MANY
            before = read
            await asyncio.sleep(0.1)
        # It is the driver that waits now, for a socket that is full.
        copying.cancel()
        with pytest.raises(asyncio.CancelledError):
            await copying
    async with fresh_database.write() as session:
        assert await copy_rows(session, Entry, [{"what": "after it"}]) == 1
    assert await count(fresh_database, Entry) == 1


@pytest.mark.databases("postgresql")
async def test_rows_may_come_out_of_the_same_database_while_they_are_copied(fresh_database):
    async def rows() -> AsyncIterator[dict[str, str]]:
        async with fresh_database.read() as other:
            for number in range(30):
                found = await other.scalar(select(func.concat("row ", number)))
                yield {"what": found}

    async with fresh_database.write() as session:
        assert await copy_rows(session, Entry, rows(), batch=7) == 30
    assert await count(fresh_database, Entry) == 30
