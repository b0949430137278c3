"""What PostgreSQL is told to stop, and how the service answers."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import select, text

from mainspring.data import ConnectionLimits, Database, Store, copy_rows
from mainspring.errors import ConcurrentUpdate, DatabaseUnavailable, DeadlineExceeded

pytestmark = pytest.mark.databases("postgresql")

LIMITS = ConnectionLimits(statement=0.2, lock=0.1, idle=0.2)


@pytest.fixture
def limits() -> ConnectionLimits:
    return LIMITS


@pytest.fixture
async def limited(fresh_database, database_url, limits) -> AsyncIterator[Database]:
    database = Database.connect(database_url, pool_size=2, limits=limits)
    yield database
    await database.close()


async def shown(session: Any, name: str) -> Any:
    return await session.scalar(text(f"SHOW {name}"))


async def test_a_statement_that_takes_too_long_is_stopped(limited):
    with pytest.raises(DeadlineExceeded, match="took too long"):
        async with limited.write() as session:
            await session.execute(text("SELECT pg_sleep(5)"))
    async with limited.read() as session:
        assert await session.scalar(text("SELECT 1")) == 1


async def test_who_waits_too_long_for_a_lock_is_told_to_try_again(fresh_database, limited, library):
    async with fresh_database.write() as session:
        session.add(library.Author(name="Ada"))
    lock = select(library.Author).with_for_update()
    async with fresh_database.write() as holding:
        await holding.execute(lock)
        with pytest.raises(ConcurrentUpdate):
            async with limited.write() as waiting:
                await waiting.execute(lock)


async def test_a_transaction_in_which_nothing_happens_is_closed_and_its_place_is_free_again(limited, library):
    with pytest.raises(DatabaseUnavailable):
        async with limited.write() as session:
            session.add(library.Author(name="lost"))
            await session.flush()
            async with asyncio.timeout(5), limited.read() as other:
                # Until the server has closed it: nothing of the unit of work is left in its list of connections.
                idle = (
                    "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in%' AND datname = current_database()"
                )
                while await other.scalar(text(f"{idle} AND pid <> pg_backend_pid()")):
                    await asyncio.sleep(0.05)
            await session.execute(text("SELECT 1"))
    async with limited.read() as session:
        assert (await session.scalars(select(library.Author))).all() == []


async def test_a_copy_of_many_rows_takes_the_time_it_needs_and_what_follows_does_not(limited, library):
    async def slowly():
        for number in range(4):
            await asyncio.sleep(0.1)
            yield {"name": f"author {number}"}

    with pytest.raises(DeadlineExceeded):
        async with limited.write() as session:
            assert await copy_rows(session, library.Author, slowly(), batch=1) == 4
            await session.execute(text("SELECT pg_sleep(5)"))


async def test_plans_are_not_compiled(limited):
    async with limited.read() as session:
        assert await shown(session, "jit") == "off"


class TestBehindAPooler:
    @pytest.fixture
    def limits(self) -> ConnectionLimits:
        return ConnectionLimits(statement=0.2, lock=0.1, idle=3, behind_pooler=True)

    async def test_each_transaction_begins_with_the_limits_and_leaves_none_behind(self, limited):
        for open_session in (limited.read, limited.write):
            async with open_session() as session:
                names = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
                assert [await shown(session, name) for name in names] == ["200ms", "100ms", "3s"]
                connection = await session.connection()
                driver: Any = (await connection.get_raw_connection()).driver_connection
            # The pool gives the same connection again; outside of a transaction it has the server's own.
            assert await driver.fetchval("SHOW statement_timeout") == "0"

    async def test_nothing_is_prepared_under_a_name_that_another_may_use(self, limited, library):
        for _ in range(3):
            async with limited.read() as session:
                await Store(library.Author, session).list()
                names = await session.scalars(text("SELECT name FROM pg_prepared_statements"))
                assert all(name.startswith("mainspring_") for name in names)

    async def test_reads_do_not_go_straight_to_the_driver(self, limited):
        async with limited.read() as session:
            assert session.direct is None
