"""Databases for tests: nothing stays, whatever is committed, refused or rolled back in between."""

import pytest
from sqlalchemy import MetaData, select, text

from mainspring.data import create_tables, rolled_back
from mainspring.errors import AlreadyExists


async def names(database, library) -> list[str]:
    async with database.read() as session:
        return sorted((await session.scalars(select(library.Author.name))).all())


@pytest.fixture
def store(library):
    async def store(database, *names: str) -> None:
        async with database.write() as session:
            session.add_all([library.Author(name=name) for name in names])

    return store


async def test_commits_are_seen_within_the_block_and_undone_after_it(fresh_database, database_url, library, store):
    async with rolled_back(database_url) as database:
        await store(database, "one")
        await store(database, "two")
        assert await names(database, library) == ["one", "two"]
    assert await names(fresh_database, library) == []


async def test_an_error_after_a_commit_undoes_only_its_own_unit_of_work(database_url, fresh_database, library, store):
    async with rolled_back(database_url) as database:
        await store(database, "one")
        with pytest.raises(AlreadyExists):
            await store(database, "two", "one")
        with pytest.raises(ValueError, match="after a flush"):
            async with database.write() as session:
                session.add(library.Author(name="three"))
                await session.flush()
                raise ValueError("after a flush")
        assert await names(database, library) == ["one"]
        await store(database, "four")
        assert await names(database, library) == ["four", "one"]
    assert await names(fresh_database, library) == []


async def test_a_rollback_in_a_unit_of_work_undoes_what_came_before_it(database_url, fresh_database, library, store):
    async with rolled_back(database_url) as database:
        await store(database, "one")
        async with database.write() as session:
            session.add(library.Author(name="two"))
            await session.flush()
            await session.rollback()
            session.add(library.Author(name="three"))
        assert await names(database, library) == ["one", "three"]
    assert await names(fresh_database, library) == []


async def test_a_savepoint_in_a_unit_of_work_fails_alone(database_url, fresh_database, library):
    async with rolled_back(database_url) as database:
        async with database.write() as session:
            session.add(library.Author(name="one"))
            with pytest.raises(AlreadyExists):
                async with session.begin_nested():
                    session.add(library.Author(name="one"))
            session.add(library.Author(name="two"))
        assert await names(database, library) == ["one", "two"]


async def test_a_reader_that_was_open_first_undoes_nothing_when_it_closes(database_url, fresh_database, library, store):
    async with rolled_back(database_url) as database:
        async with database.read() as reader:
            assert (await reader.scalars(select(library.Author))).all() == []
            await store(database, "one")
        assert await names(database, library) == ["one"]
        async with database.write() as session:
            session.add(library.Author(name="two"))
            await session.flush()
            async with database.read() as reader:
                await reader.scalars(select(library.Author))
            session.add(library.Author(name="three"))
        assert await names(database, library) == ["one", "three", "two"]


async def test_an_error_in_the_block_undoes_everything_too(fresh_database, database_url, library, store):
    with pytest.raises(ValueError, match="the test fails"):
        async with rolled_back(database_url) as database:
            await store(database, "one")
            raise ValueError("the test fails")
    assert await names(fresh_database, library) == []


async def test_callbacks_run_when_a_unit_of_work_ends_well(fresh_database, database_url, library):
    told = []

    async def tell() -> None:
        told.append("told")

    async with rolled_back(database_url) as database, database.write() as session:
        session.after_commit(tell)
        session.add(library.Author(name="one"))
    assert told == ["told"]


async def test_tables_are_created_once_and_only_those_of_the_metadata(fresh_database, database_url, library):
    await create_tables(database_url, library.metadata)
    await create_tables(database_url, MetaData())
    async with fresh_database.read() as session:
        assert await session.scalar(text("SELECT count(*) FROM library_author")) == 0
