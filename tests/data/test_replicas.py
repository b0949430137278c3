"""Reads from a replica, and from the database itself for those who have just written.

A second database stands for the replica: one that is so far behind that it shows at once which of them was read.
"""

from collections.abc import AsyncIterator

import pytest
from fastapi import APIRouter
from sqlalchemy import select
from sqlalchemy.ext.asyncio import create_async_engine

from mainspring.data import Database, FreshReadSession, ReadSession, Store, WriteSession, database_url
from mainspring.data import create_tables as make_tables
from mainspring.errors import DatabaseUnavailable
from mainspring.kernel import Registry, Resource
from mainspring.settings import BootError, Settings

pytestmark = pytest.mark.databases("postgresql")


@pytest.fixture
async def replica_url(database_url, library) -> AsyncIterator[str]:
    server, _, name = database_url.rpartition("/")
    engine = create_async_engine(_async(f"{server}/postgres"), isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        await connection.exec_driver_sql(f'CREATE DATABASE "{name}_replica"')
    url = f"{server}/{name}_replica"
    await make_tables(url, library.metadata)
    behind = Database.connect(url, pool_size=1)
    async with behind.write() as session:
        session.add(library.Author(name="old"))
    await behind.close()
    yield url
    async with engine.connect() as connection:
        await connection.exec_driver_sql(f'DROP DATABASE "{name}_replica" WITH (FORCE)')
    await engine.dispose()


def _async(url: str) -> str:
    return database_url(url).render_as_string(hide_password=False)


@pytest.fixture
async def both(fresh_database, database_url, replica_url, library) -> AsyncIterator[Database]:
    async with fresh_database.write() as session:
        session.add(library.Author(name="new"))
    database = Database.connect(database_url, replica_url=replica_url)
    yield database
    await database.close()


async def names(session, library) -> list[str]:
    by_hand = list((await session.scalars(select(library.Author.name))).all())
    assert [row.name for row in await Store(library.Author, session).list()] == by_hand
    return by_hand


class TestSessions:
    async def test_read_from_the_replica_unless_they_have_to_be_fresh(self, both, library):
        async with both.read() as session:
            assert await names(session, library) == ["old"]
        async with both.read(fresh=True) as session:
            assert await names(session, library) == ["new"]
        async with both.write() as session:
            assert await names(session, library) == ["new"]

    async def test_go_to_the_database_itself_while_the_replica_does_not_answer(
        self, fresh_database, database_url, library
    ):
        database = Database.connect(database_url, replica_url="postgresql://postgres@127.0.0.1:1/none")
        try:
            with pytest.raises(DatabaseUnavailable):
                async with database.read() as session:
                    await names(session, library)
            async with database.read() as session:
                assert await names(session, library) == []
        finally:
            await database.close()

    async def test_each_have_their_pool(self, both):
        assert {pool.name for pool in both.pools()} == {"writer", "reader"}


class TestRequests:
    @pytest.fixture
    def build_app(self, compose, library):
        router = APIRouter()

        @router.get("/names")
        async def read(session: ReadSession) -> list[str]:
            return await names(session, library)

        @router.get("/fresh")
        async def fresh(session: FreshReadSession) -> list[str]:
            return await names(session, library)

        @router.post("/names", status_code=201)
        async def write(name: str, session: WriteSession) -> None:
            session.add(library.Author(name=name))

        return compose(router, api_prefix="", database_replica_url="postgresql://elsewhere/db")

    @pytest.fixture
    def resources(self, both):
        async def make(_: Registry) -> Database:
            return both

        return [Resource(provides=Database, name="database", make=make)]

    @pytest.fixture
    async def database(self, database_url) -> AsyncIterator[Database]:
        database = Database.connect(database_url)
        yield database
        await database.close()

    async def test_of_who_has_not_written_read_from_the_replica(self, client):
        assert (await client.get("/names")).json() == ["old"]
        assert (await client.get("/fresh")).json() == ["new"]

    async def test_of_a_browser_that_has_written_read_what_it_wrote(self, client):
        answer = await client.post("/names", params={"name": "mine"})
        assert "HttpOnly; SameSite=Lax" in answer.headers["set-cookie"]
        assert sorted((await client.get("/names")).json()) == ["mine", "new"]
        client.cookies.clear()
        assert (await client.get("/names")).json() == ["old"]

    async def test_with_credentials_are_remembered_without_a_cookie(self, client):
        mine = {"authorization": "Bearer abc"}
        await client.post("/names", params={"name": "mine"}, headers=mine)
        client.cookies.clear()
        assert sorted((await client.get("/names", headers=mine)).json()) == ["mine", "new"]
        assert (await client.get("/names", headers={"authorization": "Bearer other"})).json() == ["old"]

    @pytest.mark.parametrize("value", ["soon", "1", "99999999999"])
    async def test_with_a_cookie_that_we_never_gave_read_from_the_replica(self, client, value):
        client.cookies.set("primary_until", value)
        assert (await client.get("/names")).json() == ["old"]


async def test_no_replica_of_sqlite_is_accepted():
    from mainspring.app import create_app

    with pytest.raises(BootError, match="SQLite has no replicas"):
        create_app("small", settings=Settings(environment="test", database_replica_url="postgresql://elsewhere/db"))
