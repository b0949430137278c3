"""PostgreSQL's own guard behind the sessions': policies, what tells them, and for whom they do not hold."""

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from sqlalchemy import func, insert, select, text
from sqlalchemy.exc import DBAPIError

from mainspring.data import (
    Database,
    Migrator,
    RowLevelSecurity,
    TenantStore,
    across_tenants,
    for_tenant,
    row_level_security_resource,
)
from mainspring.kernel import Registry, Resource, new_id
from mainspring.settings import Settings
from mainspring.testing import Schema
from tests.data.diary import DiaryBase, Line, Note

ADA, BOB = uuid4(), uuid4()
# What no guard of ours can see.
BEHIND = select(Note.__table__.c.tenant_id)


@pytest.fixture
def database_schema() -> Schema:
    return Schema(tables=DiaryBase.metadata)


@pytest.fixture
async def migrated(fresh_database, database_url, empty) -> Any:
    """The database with policies on both tables, by a migration; what takes them away again."""
    empty.revision(
        1,
        """
        from mainspring.data import enable_row_level_security
        enable_row_level_security("diary_note")
        enable_row_level_security("public.diary_line")
        """,
        """
        from mainspring.data import disable_row_level_security
        disable_row_level_security("diary_note")
        disable_row_level_security("diary_line")
        """,
    )
    migrator = Migrator(database_url, [empty.module])
    await migrator.upgrade()
    return migrator


@pytest.fixture
async def url(fresh_database, database_url, migrated) -> AsyncIterator[str]:
    """The database's address for a role that policies hold."""
    role = f"mainspring_test_{new_id().hex}"
    async with fresh_database.write() as session:
        await session.execute(text(f"CREATE ROLE {role} LOGIN"))
        await session.execute(text(f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}"))
    parts = urlsplit(database_url)
    host = parts.netloc.rpartition("@")[2]
    yield parts._replace(netloc=f"{role}@{host}").geturl()
    async with fresh_database.write() as session:
        await session.execute(text(f"DROP OWNED BY {role}"))
        await session.execute(text(f"DROP ROLE {role}"))


@pytest.fixture
async def ordinary(url) -> AsyncIterator[Database]:
    database = Database.connect(url, application_name="ordinary", pool_size=1)
    yield database
    await database.close()


@pytest.fixture
async def notes(ordinary) -> None:
    for tenant in (ADA, BOB):
        async with ordinary.write() as session:
            await for_tenant(session, tenant, row_level_security=True)
            session.add(Note(slug="milk"))


@pytest.mark.databases("postgresql")
class TestPolicies:
    async def test_a_statement_that_forgot_the_tenant_sees_its_rows_alone(self, ordinary, notes):
        for tenant in (ADA, BOB):
            for session_of in (ordinary.read, ordinary.write):
                async with session_of() as session:
                    await for_tenant(session, tenant, row_level_security=True)
                    assert (await session.scalars(BEHIND)).all() == [tenant]

    async def test_without_a_tenant_there_are_no_rows_also_after_another_transaction_had_one(self, ordinary, notes):
        async with ordinary.read() as session:
            await for_tenant(session, ADA, row_level_security=True)
            assert (await session.scalars(BEHIND)).all() == [ADA]
        # The pool has one connection, so this is the same.
        async with ordinary.write() as session:
            assert (await session.scalars(BEHIND)).all() == []
            assert (await session.execute(text("UPDATE diary_note SET text = 'x'"))).rowcount == 0

    async def test_a_row_of_another_tenant_cannot_be_added(self, ordinary, notes):
        with pytest.raises(DBAPIError, match="row-level security"):
            async with ordinary.write() as session:
                await for_tenant(session, ADA, row_level_security=True)
                table = Line.__table__
                await session.execute(insert(table).values(id=uuid4(), tenant_id=BOB, note_id=uuid4(), text=""))

    async def test_a_store_reads_in_a_transaction_that_was_told(self, ordinary, notes):
        async with ordinary.read() as session:
            await for_tenant(session, ADA, row_level_security=True)
            assert [row.tenant_id for row in await TenantStore(Note, session).list()] == [ADA]

    async def test_a_tenant_named_after_the_first_statement_is_told_all_the_same(self, ordinary, notes):
        async with ordinary.write() as session:
            await session.execute(text("SELECT 1"))
            await for_tenant(session, ADA, row_level_security=True)
            assert (await session.scalars(BEHIND)).all() == [ADA]

    async def test_a_savepoint_that_is_rolled_back_forgets_nothing(self, ordinary, notes):
        async with ordinary.write() as session:
            await for_tenant(session, ADA, row_level_security=True)
            async with session.begin_nested() as savepoint:
                assert (await session.scalars(BEHIND)).all() == [ADA]
                await savepoint.rollback()
            assert (await session.scalars(BEHIND)).all() == [ADA]

    async def test_a_savepoint_is_no_place_to_name_the_tenant(self, ordinary):
        async with ordinary.write() as session, session.begin_nested():
            with pytest.raises(RuntimeError, match="Name the tenant before the savepoint"):
                await for_tenant(session, ADA, row_level_security=True)

    async def test_a_session_that_begins_again_tells_again(self, ordinary, notes):
        async with ordinary.write() as session:
            await for_tenant(session, ADA, row_level_security=True)
            assert (await session.scalars(BEHIND)).all() == [ADA]
            await session.rollback()
            assert (await session.scalars(BEHIND)).all() == [ADA]

    async def test_across_tenants_all_rows_are_there(self, ordinary, notes):
        async with ordinary.read() as session:
            await across_tenants(session, "invoices", row_level_security=True)
            assert await session.scalar(select(func.count()).select_from(Note)) == 2

    async def test_a_reader_in_autocommit_gets_a_transaction(self, ordinary, notes, url):
        quick = Database.connect(url, application_name="quick", pool_size=1)
        (engine,) = {bind.sync_engine.pool: bind for bind in quick._binds}.values()
        readers = Database(engine, engine.execution_options(isolation_level="AUTOCOMMIT"))
        async with readers.read() as session:
            await for_tenant(session, ADA, row_level_security=True)
            assert (await session.scalars(BEHIND)).all() == [ADA]
            assert (await session.scalars(BEHIND)).all() == [ADA]
        async with readers.read() as session:
            await session.execute(text("SELECT 1"))
            with pytest.raises(RuntimeError, match="needs a transaction"):
                await for_tenant(session, ADA, row_level_security=True)
        await quick.close()

    async def test_the_downgrade_takes_them_away(self, ordinary, notes, migrated):
        await migrated.downgrade("base")
        async with ordinary.read() as session:
            assert len((await session.scalars(BEHIND)).all()) == 2


async def looked_at(database: Database, **values: Any) -> RowLevelSecurity:
    async def given(_: Registry) -> Database:
        return database

    registry = Registry([Resource(provides=Database, name="database", make=given)])
    await registry.start()
    settings = Settings(environment="test").model_copy(update=values)
    return await row_level_security_resource(settings, metadata=DiaryBase.metadata).make(registry)


@pytest.mark.databases("postgresql")
class TestStart:
    async def test_an_ordinary_role_with_policies_everywhere_has_no_gap(self, ordinary):
        assert (await looked_at(ordinary)).gaps == ()

    async def test_a_superuser_is_one(self, fresh_database, migrated):
        assert (await looked_at(fresh_database)).gaps == ("postgres is a superuser, whom no policy holds.",)

    async def test_a_table_without_a_policy_is_one_and_production_does_not_start(self, ordinary, fresh_database):
        async with fresh_database.write() as session:
            await session.execute(text("ALTER TABLE diary_line NO FORCE ROW LEVEL SECURITY"))
        assert (await looked_at(ordinary)).gaps == ("The table diary_line has no policy.",)
        with pytest.raises(RuntimeError, match="The table diary_line has no policy"):
            await looked_at(ordinary, environment="production")


@pytest.mark.databases("sqlite")
async def test_on_sqlite_there_is_none(database):
    security = await looked_at(database)
    assert security.gaps == ("Row-level security is PostgreSQL's; this database has none.",)
