"""Applying migrations beside a service that runs: waits are short, retries bounded, and one process does it."""

import asyncio
import sys
import time
from contextlib import asynccontextmanager
from statistics import median

import asyncpg
import pytest
from sqlalchemy import MetaData

from mainspring.data import MigrationBlocked, MigrationLimits, Migrator
from mainspring.kernel import Module
from mainspring.testing import Schema

pytestmark = pytest.mark.databases("postgresql")
EMPTY = Schema(tables=MetaData())
BOOKS = """
    op.execute("CREATE TABLE book (id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY, title text, pages int)")
    op.execute("INSERT INTO book (title) SELECT 'book ' || n FROM generate_series(1, 2000) AS n")
"""
COLUMN = "    op.add_column('book', sa.Column('colour', sa.Text()))"
INDEX = """
    with op.get_context().autocommit_block():
        op.create_index('ix_title', 'book', ['title'], postgresql_concurrently=True, if_not_exists=True)
"""


@pytest.fixture
def database_schema() -> Schema:
    return EMPTY


@pytest.fixture
def history(empty):
    """`history(upgrade, ...)`: a module with those revisions."""

    def write(*upgrades: str) -> Module:
        for number, upgrade in enumerate(upgrades, start=1):
            empty.revision(number, upgrade, "pass")
        return empty.module

    return write


@asynccontextmanager
async def reading(url: str, table: str = "book"):
    """A transaction that has read the table and stays open, as a report or a forgotten session does."""
    connection = await asyncpg.connect(url)
    try:
        transaction = connection.transaction()
        await transaction.start()
        await connection.fetchval(f"SELECT count(*) FROM {table}")
        yield connection
        await transaction.rollback()
    finally:
        await connection.close()


async def value(url: str, sql: str):
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


async def waits(url: str, until: asyncio.Future) -> list[float]:
    """Seconds that each short read took while something else went on."""
    connection = await asyncpg.connect(url)
    taken = []
    while not until.done():
        began = time.monotonic()
        await connection.fetchval("SELECT title FROM book WHERE id = 1")
        taken.append(time.monotonic() - began)
        await asyncio.sleep(0.01)
    await connection.close()
    return taken


async def test_a_waiting_migration_stalls_others_no_longer_than_its_lock_timeout(url, history):
    await Migrator(url, [history(BOOKS)]).upgrade()
    limits = MigrationLimits(lock_timeout=0.4, retries=2)
    migrator = Migrator(url, [history(BOOKS, COLUMN)], limits=limits)

    async with reading(url):
        upgrading = asyncio.ensure_future(migrator.upgrade())
        taken = await asyncio.gather(*(waits(url, upgrading) for _ in range(4)))
        with pytest.raises(MigrationBlocked, match=r"3 times and waited 0\.4 s.*pid \d+.*idle in transaction"):
            await upgrading

    slowest = [max(one) for one in taken]
    assert all(0.2 < one < limits.lock_timeout + 1 for one in slowest), "the queue behind it is cut at the limit"
    assert all(median(one) < 0.1 for one in taken)
    assert [r.id for r in await migrator.pending()] == ["stock_0002"]


async def test_without_the_limit_others_would_wait_for_the_longest_transaction(url, history):
    """The proof that the test above can fail: the queue forms as soon as nothing cuts it."""
    await Migrator(url, [history(BOOKS)]).upgrade()
    migrator = Migrator(url, [history(BOOKS, COLUMN)], limits=MigrationLimits(lock_timeout=60))

    async with reading(url):
        upgrading = asyncio.ensure_future(migrator.upgrade())
        reader = asyncio.ensure_future(waits(url, upgrading))
        await asyncio.sleep(1.5)
        assert not upgrading.done()
    await upgrading

    assert max(await reader) > 1.0


async def test_a_migration_that_did_not_get_its_lock_is_tried_again_until_it_does(url, history):
    await Migrator(url, [history(BOOKS)]).upgrade()
    migrator = Migrator(url, [history(BOOKS, COLUMN)], limits=MigrationLimits(lock_timeout=0.1, retries=8))

    async with reading(url):
        upgrading = asyncio.ensure_future(migrator.upgrade())
        await asyncio.sleep(0.5)
        assert not upgrading.done()
    assert [r.id for r in await upgrading] == ["stock_0002"]


async def test_retries_count_per_migration_and_what_was_applied_stays(url, history):
    other = "    op.execute('CREATE TABLE shelf (id bigint)')"
    module = history(BOOKS, other, COLUMN)
    migrator = Migrator(url, [module], limits=MigrationLimits(lock_timeout=0.1, retries=0))
    await migrator.upgrade("stock_0001")

    async with reading(url):
        with pytest.raises(MigrationBlocked):
            await migrator.upgrade()

    assert [r.id for r in await migrator.pending()] == ["stock_0003"]


async def test_a_statement_that_takes_too_long_is_ended_and_not_tried_again(url, history):
    migrator = Migrator(
        url, [history("    op.execute('SELECT pg_sleep(30)')")], limits=MigrationLimits(statement_timeout=0.2)
    )
    began = time.monotonic()

    with pytest.raises(Exception, match="statement timeout"):
        await migrator.upgrade()

    assert time.monotonic() - began < 10


async def test_four_processes_at_once_build_an_index_concurrently_once(url, history, tmp_path):
    """A session that waited inside PostgreSQL for the lock would be what the index waits for: a deadlock."""
    module = history(BOOKS, INDEX, COLUMN)
    script = (
        "import asyncio, sys; from mainspring.data import Migrator; from mainspring.kernel import Migrations, Module;"
        "module = Module(name='stock', migrations=Migrations(package=sys.argv[2], models=''));"
        "print([r.id for r in asyncio.run(Migrator(sys.argv[1], [module]).upgrade())])"
    )
    arguments = (sys.executable, "-c", script, url, module.migrations.package)
    pipe = asyncio.subprocess.PIPE
    processes = [
        await asyncio.create_subprocess_exec(*arguments, cwd=tmp_path, stdout=pipe, stderr=pipe) for _ in range(4)
    ]
    spoken = [await process.communicate() for process in processes]

    said = sorted(output.decode().strip().splitlines()[-1] for output, _ in spoken)
    assert said == ["['stock_0001', 'stock_0002', 'stock_0003']", "[]", "[]", "[]"], spoken
    assert await value(url, "SELECT indisvalid FROM pg_index WHERE indexrelid = 'ix_title'::regclass")


class TestConcurrentIndexes:
    async def test_wait_for_long_transactions_whatever_the_lock_timeout(self, url, history):
        await Migrator(url, [history(BOOKS)]).upgrade()
        migrator = Migrator(url, [history(BOOKS, INDEX, COLUMN)], limits=MigrationLimits(lock_timeout=0.2, retries=0))

        async with reading(url):
            upgrading = asyncio.ensure_future(migrator.upgrade("stock_0002"))
            began = time.monotonic()
            while time.monotonic() - began < 1:
                assert not upgrading.done()
                await value(url, "UPDATE book SET pages = 1 WHERE id = 1")
                await asyncio.sleep(0.02)
        assert [r.id for r in await upgrading] == ["stock_0002"]

    async def test_the_limit_holds_again_for_what_comes_after(self, url, history):
        module = history(
            BOOKS, INDEX + "    op.execute(\"CREATE TABLE seen AS SELECT current_setting('lock_timeout') AS l\")"
        )
        await Migrator(url, [module], limits=MigrationLimits(lock_timeout=7)).upgrade()

        assert await value(url, "SELECT l FROM seen") == "7s"

    async def test_what_a_broken_off_build_left_is_dropped_and_built_again(self, url, history):
        await Migrator(url, [history(BOOKS)]).upgrade()
        await value(url, "INSERT INTO book (title) VALUES ('book 1')")
        unique = INDEX.replace("'book', ['title'],", "'book', ['title'], unique=True,")
        migrator = Migrator(url, [history(BOOKS, unique)])
        with pytest.raises(Exception, match="could not create unique index"):
            await migrator.upgrade()
        assert not await value(url, "SELECT indisvalid FROM pg_index WHERE indexrelid = 'ix_title'::regclass")
        (found,) = [f for f in (await migrator.safety()).findings if f.rule == "invalid-index"]
        assert "public.ix_title" in found.detail
        await value(url, "DELETE FROM book WHERE id = 2001")

        assert [r.id for r in await migrator.upgrade()] == ["stock_0002"]

        assert await value(url, "SELECT indisvalid FROM pg_index WHERE indexrelid = 'ix_title'::regclass")
        assert (await migrator.safety()).findings == []


class TestBackfill:
    FILLED = """
    with op.get_context().autocommit_block():
        backfill("book", {"pages": "id"}, where="pages IS NULL", batch=300, pause=0)
    """

    async def test_fills_every_row_in_transactions_of_its_own(self, url, history):
        await Migrator(url, [history(BOOKS, self.FILLED)]).upgrade()

        assert await value(url, "SELECT count(*) FROM book WHERE pages = id") == 2000
        assert await value(url, "SELECT count(DISTINCT xmin::text) FROM book") == 7

    async def test_does_not_overwrite_what_is_written_meanwhile(self, url, history):
        await Migrator(url, [history(BOOKS)]).upgrade()
        other = await asyncpg.connect(url)
        transaction = other.transaction()
        await transaction.start()
        await other.execute("UPDATE book SET pages = -1 WHERE id = 700")

        upgrading = asyncio.ensure_future(Migrator(url, [history(BOOKS, self.FILLED)]).upgrade())
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%backfill%'"
        async with asyncio.timeout(10):
            while not await value(url, waiting):
                await asyncio.sleep(0.02)
        await transaction.commit()
        await other.close()
        await upgrading

        assert await value(url, "SELECT pages FROM book WHERE id = 700") == -1
        assert await value(url, "SELECT count(*) FROM book WHERE pages IS NULL") == 0

    async def test_is_resumed_where_it_broke_off(self, url, history):
        await Migrator(url, [history(BOOKS)]).upgrade()
        await value(url, "ALTER TABLE book ADD CHECK (pages < 1000)")
        migrator = Migrator(url, [history(BOOKS, self.FILLED)])
        with pytest.raises(Exception, match="violates check constraint"):
            await migrator.upgrade()
        assert await value(url, "SELECT count(*) FROM book WHERE pages IS NOT NULL") == 900
        await value(url, "ALTER TABLE book DROP CONSTRAINT book_pages_check")

        await migrator.upgrade()

        assert await value(url, "SELECT count(*) FROM book WHERE pages = id") == 2000

    async def test_is_refused_in_a_transaction(self, url, history):
        inside = "    backfill('book', {'pages': '1'}, where='pages IS NULL')"
        with pytest.raises(RuntimeError, match="stands in a transaction"):
            await Migrator(url, [history(BOOKS, inside)]).upgrade()

    @pytest.mark.databases("sqlite")
    async def test_is_one_statement_on_sqlite(self, url, history):
        table = (
            "    op.create_table('book', sa.Column('id', sa.Integer, primary_key=True), sa.Column('pages', sa.Integer))"
        )
        rows = "    op.execute('INSERT INTO book (id) VALUES (1), (2)')"
        await Migrator(url, [history(table, rows, self.FILLED)]).upgrade()

        import sqlite3

        connection = sqlite3.connect(url.removeprefix("sqlite:///"))
        assert connection.execute("SELECT pages FROM book").fetchall() == [(1,), (2,)]
        connection.close()
