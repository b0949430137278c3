"""Sessions and units of work without a web server."""

import asyncio
import threading
from datetime import timedelta

import pytest
from sqlalchemy import delete, insert, select, text
from sqlalchemy.exc import DBAPIError

from mainspring.data import Database, database_resource
from mainspring.errors import (
    AlreadyExists,
    ConcurrentUpdate,
    ConstraintViolated,
    DatabaseUnavailable,
    NotFound,
    ValidationFailed,
)
from mainspring.kernel import Registry, ResourceFailed, new_id
from mainspring.settings import Settings

# Longer than the patience of the test; SQLite's runs to its end all the same, in the driver's thread.
_SLOW = {
    "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500000) SELECT max(i) FROM n",
    "postgresql": "SELECT pg_sleep(30)",
}


@pytest.fixture(autouse=True)
async def _driver_threads_end_before_the_event_loop():
    # When aiosqlite cannot connect, or is cancelled, its thread's last word to the event loop is awaited by nobody.
    yield
    for thread in threading.enumerate():
        if "_connection_worker_thread" in thread.name:
            await asyncio.to_thread(thread.join, 5)


@pytest.fixture
async def small(fresh_database, database_url):
    """A database with one connection per purpose and little patience."""
    small = Database.connect(database_url, pool_size=1, pool_timeout=0.2, application_name="small")
    yield small
    await small.close()


@pytest.fixture
def names(small, library):
    async def names() -> list[str]:
        async with small.read() as session:
            return sorted((await session.scalars(select(library.Author.name))).all())

    return names


class TestWrite:
    async def test_commits_at_the_end_of_the_block(self, small, library, names):
        async with small.write() as session:
            session.add(library.Author(name="Ursula"))
        assert await names() == ["Ursula"]

    @pytest.mark.parametrize("error", [ValueError, NotFound, asyncio.CancelledError, KeyboardInterrupt])
    async def test_rolls_back_when_the_block_raises_anything(self, error, small, library, names):
        async def fail() -> None:
            async with small.write() as session:
                session.add(library.Author(name="never"))
                await session.flush()
                raise error

        with pytest.raises(error):
            await fail()
        assert await names() == []

    async def test_gives_its_connection_back_when_a_running_statement_is_cancelled(self, small, library, names):
        for _ in range(2):
            with pytest.raises(TimeoutError):
                async with small.write() as session:
                    session.add(library.Author(name="never"))
                    await session.flush()
                    async with asyncio.timeout(0.05):
                        await session.execute(text(_SLOW[small.dialect]))
        async with small.write() as session:
            session.add(library.Author(name="next"))
        assert await names() == ["next"]

    async def test_a_task_cancelled_at_any_moment_stores_all_or_nothing_and_keeps_no_connection(
        self, small, library, names
    ):
        async def store(number: int) -> None:
            async with small.write() as session:
                session.add(library.Author(name=f"{number} a"))
                await session.flush()
                session.add(library.Author(name=f"{number} b"))

        for steps in range(40):
            # The drivers make noise when they are cancelled while connecting, so the connection is there already.
            await names()
            async with small.write() as session:
                await session.execute(text("SELECT 1"))
            task = asyncio.create_task(store(steps))
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait({task})
        async with small.write() as session:
            session.add(library.Author(name="last"))
        stored = await names()
        assert stored.pop() == "last"
        assert [name for name in stored if name.endswith("a")] == [
            name.replace("b", "a") for name in stored if name.endswith("b")
        ]

    async def test_a_savepoint_fails_alone_and_says_why(self, small, library, names):
        async with small.write() as session:
            session.add(library.Author(name="Ursula"))
            with pytest.raises(AlreadyExists):
                async with session.begin_nested():
                    session.add(library.Author(name="Ursula"))
            session.add(library.Author(name="Octavia"))
        assert await names() == ["Octavia", "Ursula"]

    async def test_a_query_that_flushes_first_says_why_it_cannot(self, small, library):
        with pytest.raises(AlreadyExists):
            async with small.write() as session:
                session.add_all([library.Author(name="Ursula"), library.Author(name="Ursula")])
                with pytest.raises(AlreadyExists):
                    await session.scalars(select(library.Author))
                raise AlreadyExists

    @pytest.mark.parametrize("method", ["commit", "begin"])
    async def test_only_the_unit_of_work_commits(self, method, small, library, names):
        with pytest.raises(TypeError, match=r"begin_nested\(\)"):
            async with small.write() as session:
                session.add(library.Author(name="never"))
                await getattr(session, method)()
        assert await names() == []

    async def test_a_session_kept_beyond_the_block_is_dead(self, small, library):
        async with small.write() as session:
            pass
        with pytest.raises(Exception, match="closed"):
            await session.scalars(select(library.Author))
        async with small.read() as session:
            pass
        with pytest.raises(Exception, match="closed"):
            await session.scalars(select(library.Author))

    async def test_a_value_the_database_computes_in_an_update_is_there_to_read(self, small, library):
        async with small.write() as session:
            author = library.Author(name="Ursula")
            session.add(author)
            await session.flush()
            assert author.created_at == author.updated_at
        async with small.write() as session:
            author = await session.get_one(library.Author, author.id)
            author.name = "Ursula K."
            await session.flush()
            assert author.updated_at - author.created_at >= timedelta(0)

    async def test_a_handlers_own_connection_error_is_not_blamed_on_the_database(self, small):
        with pytest.raises(ConnectionResetError):
            async with small.write():
                raise ConnectionResetError("of some other service")

    async def test_two_processes_worth_of_writers_take_turns(self, database, small, library, names):
        async def store(where: Database, start: int) -> None:
            for number in range(start, start + 5):
                async with where.write() as session:
                    session.add(library.Author(name=f"{number:02}"))
                    await session.flush()
                    await asyncio.sleep(0)

        await asyncio.gather(store(database, 0), store(small, 5))
        assert await names() == [f"{number:02}" for number in range(10)]


class TestAfterCommit:
    async def test_callbacks_see_what_was_committed_in_the_order_they_were_given(self, small, library, names):
        told = []

        async def tell(what: str) -> None:
            told.append((what, await names()))

        async with small.write() as session:
            session.after_commit(lambda: tell("first"))
            session.after_commit(lambda: tell("second"))
            session.add(library.Author(name="Ursula"))
            assert told == []
        assert told == [("first", ["Ursula"]), ("second", ["Ursula"])]

    async def test_callbacks_may_write_in_a_unit_of_work_of_their_own(self, small, library, names):
        async def write() -> None:
            async with small.write() as other:
                other.add(library.Author(name="from the callback"))

        async with small.write() as session:
            session.add(library.Author(name="first"))
            session.after_commit(write)
        assert await names() == ["first", "from the callback"]

    async def test_callbacks_never_run_when_the_block_or_the_commit_fails(self, small, library):
        told = []

        async def tell() -> None:
            told.append("told")

        with pytest.raises(ValueError, match="no"):
            async with small.write() as session:
                session.after_commit(tell)
                raise ValueError("no")
        with pytest.raises(ConstraintViolated):
            async with small.write() as session:
                session.after_commit(tell)
                session.add(library.Book(title="Orphan", author_id=new_id()))
        assert told == []

    async def test_one_that_fails_stops_neither_the_others_nor_the_caller(self, small):
        told = []

        async def fail() -> None:
            raise RuntimeError("fails")

        async def tell() -> None:
            told.append("told")

        async with small.write() as session:
            session.after_commit(fail)
            session.after_commit(tell)
        assert told == ["told"]


class TestRead:
    async def test_objects_cannot_be_stored(self, small, library, names):
        with pytest.raises(TypeError, match=r"\(Author\).*WriteSession"):
            async with small.read() as session:
                session.add(library.Author(name="never"))
                await session.flush()
        assert await names() == []

    async def test_a_change_that_nobody_flushed_is_noticed_at_the_end(self, small, library, names):
        async with small.write() as session:
            session.add(library.Author(name="Ursula"))
        with pytest.raises(TypeError, match="WriteSession"):
            async with small.read() as session:
                author = (await session.scalars(select(library.Author))).one()
                author.name = "lost"
        assert await names() == ["Ursula"]

    @pytest.mark.parametrize("statement", ["insert", "delete", "create"])
    async def test_statements_that_write_are_refused_by_the_database(self, statement, small, library, names):
        async with small.write() as session:
            session.add(library.Author(name="Ursula"))
        statements = {
            "insert": insert(library.Author).values(name="smuggled"),
            "delete": delete(library.Author),
            "create": text("CREATE TABLE smuggled (id INTEGER)"),
        }
        with pytest.raises(DBAPIError, match=r"read-?only"):
            async with small.read() as session:
                await session.execute(statements[statement])
                await session.commit()
        assert await names() == ["Ursula"]

    async def test_a_connection_that_was_read_only_writes_again(self, small, library, names):
        for name in ("first", "second"):
            await names()
            async with small.write() as session:
                session.add(library.Author(name=name))
        assert await names() == ["first", "second"]

    async def test_readers_do_not_wait_for_a_writer(self, fresh_database, library):
        async with fresh_database.write() as session:
            session.add(library.Author(name="not yet"))
            await session.flush()
            async with asyncio.timeout(2), fresh_database.read() as reader:
                assert (await reader.scalars(select(library.Author))).all() == []


class TestRefusals:
    async def test_a_taken_unique_value_already_exists(self, small, library):
        async with small.write() as session:
            session.add(library.Author(name="Ursula"))
        with pytest.raises(AlreadyExists) as caught:
            async with small.write() as session:
                await session.execute(insert(library.Author).values(name="Ursula"))
        assert isinstance(caught.value.__cause__, DBAPIError)
        assert "Ursula" not in caught.value.message

    async def test_a_text_that_postgresql_cannot_take_is_invalid_and_no_defect(self, small):
        if small.dialect == "sqlite":
            async with small.read() as session:
                assert await session.scalar(text("SELECT :value"), {"value": "a\x00b"}) == "a\x00b"
            return
        with pytest.raises(ValidationFailed):
            async with small.read() as session:
                await session.scalar(text("SELECT CAST(:value AS text)"), {"value": "a\x00b"})

    async def test_a_taken_primary_key_already_exists(self, small, library):
        identity = new_id()
        with pytest.raises(AlreadyExists):
            async with small.write() as session:
                for name in ("one", "two"):
                    await session.execute(insert(library.Author).values(id=identity, name=name))

    async def test_a_reference_to_nothing_violates_a_constraint(self, small, library):
        with pytest.raises(ConstraintViolated):
            async with small.write() as session:
                session.add(library.Copy(book_id=new_id()))
                await session.flush()

    @pytest.mark.parametrize("values", [{"pages": 0}, {"title": None}])
    async def test_a_broken_rule_or_a_missing_value_violates_a_constraint(self, values, small, library):
        with pytest.raises(ConstraintViolated):
            async with small.write() as session:
                author = library.Author(name="Ursula")
                session.add(author)
                await session.flush()
                session.add(library.Book(**{"title": "Always", "author_id": author.id} | values))
                await session.flush()

    async def test_a_deferred_constraint_violated_at_the_commit_poisons_no_connection(self, small, library, names):
        for _ in range(3):
            with pytest.raises(ConstraintViolated):
                async with small.write() as session:
                    session.add(library.Book(title="Orphan", author_id=new_id()))
                    await session.flush()
        async with small.write() as session:
            session.add(library.Author(name="next"))
        async with small.read() as session:
            assert (await session.scalars(select(library.Book.title))).all() == []
        assert await names() == ["next"]

    @pytest.mark.databases("postgresql")
    async def test_a_row_that_another_holds_is_a_concurrent_update(self, database, small, library):
        async with small.write() as session:
            session.add(library.Author(name="Ursula"))
        locking = select(library.Author).with_for_update(nowait=True)
        async with database.write() as holder:
            await holder.scalars(locking)
            with pytest.raises(ConcurrentUpdate):
                async with small.write() as session:
                    await session.scalars(locking)

    @pytest.mark.databases("sqlite")
    async def test_a_writer_that_holds_the_file_for_too_long_is_a_concurrent_update(self, database, small, library):
        engine = small._writers.kw["bind"].sync_engine
        async with small.write() as session:
            # The pool keeps the connection, and with it the patience.
            await session.execute(text("PRAGMA busy_timeout = 50"))
        assert engine.dialect.name == "sqlite"
        async with database.write() as holder:
            holder.add(library.Author(name="Ursula"))
            await holder.flush()
            with pytest.raises(ConcurrentUpdate):
                async with small.write() as session:
                    await session.scalars(select(library.Author))

    async def test_a_row_that_vanished_under_an_update_is_no_silent_success(self, small, library):
        async with small.write() as session:
            author = library.Author(name="Ursula")
            session.add(author)
        with pytest.raises(ConcurrentUpdate):
            async with small.write() as session:
                author = await session.get_one(library.Author, author.id)
                await session.execute(text("DELETE FROM library_author"))
                author.name = "gone"


class TestAvailability:
    async def test_an_exhausted_pool_is_unavailable_and_worth_another_try_soon(self, small, library):
        async with small.write() as session:
            await session.scalars(select(library.Author))
            with pytest.raises(DatabaseUnavailable) as caught:
                async with small.write() as other:
                    await other.scalars(select(library.Author))
        assert caught.value.retry_after == 1

    @pytest.mark.parametrize(
        "url",
        [
            "postgresql://nobody@127.0.0.1:1/nothing",
            pytest.param("postgresql://nobody@name.invalid/nothing", id="unknown host"),
            "sqlite:////proc/nothing.db",
        ],
    )
    async def test_a_database_out_of_reach_is_unavailable(self, url):
        database = Database.connect(url, pool_timeout=1)
        for block in (database.read, database.write):
            with pytest.raises(DatabaseUnavailable):
                async with block() as session:
                    await session.execute(text("SELECT 1"))
        await database.close()

    @pytest.mark.databases("postgresql")
    async def test_a_database_that_is_not_there_is_unavailable(self, database_url):
        database = Database.connect(f"{database_url}_missing")
        with pytest.raises(DatabaseUnavailable):
            async with database.read() as session:
                await session.execute(text("SELECT 1"))
        await database.close()

    @pytest.mark.databases("postgresql")
    async def test_a_connection_that_the_server_ends_is_unavailable_once(self, database, small, library, names):
        with pytest.raises(DatabaseUnavailable):
            async with small.write() as session:
                session.add(library.Author(name="never"))
                await session.flush()
                pid = await session.scalar(text("SELECT pg_backend_pid()"))
                async with database.write() as other:
                    await other.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})
                await session.scalars(select(library.Author))
        assert await names() == []

    @pytest.mark.databases("postgresql")
    async def test_an_idle_connection_that_the_server_ended_fails_one_unit_of_work_at_most(
        self, database, small, names
    ):
        async with small.write() as session:
            pid = await session.scalar(text("SELECT pg_backend_pid()"))
        async with database.write() as other:
            await other.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})
        with pytest.raises(DatabaseUnavailable):
            await names()
        assert await names() == []


class TestConnections:
    @pytest.mark.databases("sqlite")
    @pytest.mark.parametrize(("mode", "query_only"), [("read", 1), ("write", 0)])
    async def test_sqlite_is_durable_shared_and_keeps_references(self, mode, query_only, small):
        expected = {
            "journal_mode": "wal",
            "foreign_keys": 1,
            "busy_timeout": 10_000,
            "synchronous": 2,
            "query_only": query_only,
        }
        async with getattr(small, mode)() as session:
            found = {name: await session.scalar(text(f"PRAGMA {name}")) for name in expected}
        assert found == expected

    @pytest.mark.databases("sqlite")
    async def test_sqlite_reads_one_state_throughout_a_session(self, small, library):
        async with small.read() as reader:
            assert (await reader.scalars(select(library.Author.name))).all() == []
            async with small.write() as session:
                session.add(library.Author(name="meanwhile"))
            assert (await reader.scalars(select(library.Author.name))).all() == []

    @pytest.mark.databases("postgresql")
    async def test_postgresql_shows_who_is_connected_and_counts_in_utc(self, small):
        async with small.write() as session:
            name = await session.scalar(
                text("SELECT application_name FROM pg_stat_activity WHERE pid = pg_backend_pid()")
            )
            assert name == "small"
            assert await session.scalar(text("SHOW timezone")) == "UTC"

    async def test_it_knows_its_dialect(self, small, database_backend):
        assert small.dialect == database_backend


class TestResource:
    async def test_starts_pings_and_closes(self, fresh_database, database_url):
        settings = Settings(environment="test", database_url=database_url)
        resource = database_resource(settings, application_name="small")
        assert resource.chosen_by == "database_url"
        registry = Registry([resource])
        await registry.start()
        (health,) = await registry.ping()
        assert health.state == "up"
        await registry.close()

    async def test_does_not_start_without_its_server_and_says_what_to_check(self):
        settings = Settings(environment="test", database_url="postgresql://me:secret@127.0.0.1:1/shop")
        registry = Registry([database_resource(settings, application_name="small")])
        with pytest.raises(ResourceFailed, match=r"postgresql 127\.0\.0\.1:1/shop.*Check that DATABASE_URL") as caught:
            await registry.start()
        assert "secret" not in str(caught.value)

    @pytest.mark.parametrize(
        ("url", "backend"),
        [
            ("postgresql://u:secret@db/shop", "postgresql db:5432/shop"),
            ("postgresql:///shop", "postgresql local socket:5432/shop"),
            ("sqlite:///data/shop.db", "sqlite (WAL) data/shop.db"),
        ],
    )
    def test_shows_where_it_connects_without_the_password(self, url, backend):
        resource = database_resource(Settings(environment="test", database_url=url), application_name="small")
        assert resource.backend == backend
