"""Stores of the rows that have certain values, and no others."""

from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import MetaData, UniqueConstraint, select
from sqlalchemy.orm import Mapped, mapped_column

from mainspring.data import Base, Filter, Identified, Listing, SoftDeleted, Store
from mainspring.errors import AlreadyExists, NotFound
from mainspring.testing import Schema


class OfficeBase(Base):
    __abstract__ = True
    metadata = MetaData(naming_convention=Base.metadata.naming_convention)


class Letter(Identified, SoftDeleted, OfficeBase):
    __tablename__ = "office_letter"
    __table_args__ = (UniqueConstraint("subject"),)

    owner: Mapped[str]
    subject: Mapped[str]
    pin: Mapped[str] = mapped_column(default="", info={"confidential": True})


def of(owner: str, session: Any) -> Store[Letter]:
    return Store(Letter, session, only={"owner": owner})


@pytest.fixture
def database_schema() -> Schema:
    return Schema(tables=OfficeBase.metadata)


@pytest.fixture
async def bobs(database) -> UUID:
    async with database.write() as session:
        return (await of("bob", session).add(Letter(subject="bill"))).id


class TestReading:
    async def test_what_is_somebody_elses_does_not_exist(self, database, bobs):
        async with database.read() as session:
            store = of("ada", session)
            assert await store.find(bobs) is None
            assert (await store.count(), await store.list(), await store.first()) == (0, [], None)
            assert not await store.exists(Letter.subject == "bill")
            assert [row async for row in store.stream()] == []
            with pytest.raises(NotFound):
                await store.get_many([bobs])

    def test_refuses_a_name_that_the_model_does_not_have(self):
        with pytest.raises(TypeError, match="Letter has no tenant"):
            Store(Letter, Any, only={"tenant": "ada"})


class TestWriting:
    async def test_a_new_row_gets_the_values(self, database):
        async with database.write() as session:
            added = await of("ada", session).add_many([Letter(subject="one"), Letter(subject="two", owner="ada")])
        assert [row.owner for row in added] == ["ada", "ada"]

    async def test_a_row_of_somebody_else_is_not_added(self, database):
        with pytest.raises(ValueError, match="This Letter belongs to somebody else"):
            async with database.write() as session:
                await of("ada", session).add(Letter(subject="one", owner="bob"))

    async def test_a_row_cannot_be_moved(self, database, bobs):
        with pytest.raises(ValueError, match=r"Letter\.owner decides to whom a row belongs"):
            async with database.write() as session:
                store = of("bob", session)
                await store.update(await store.get(bobs), {"owner": "ada"})

    @pytest.mark.parametrize("verb", ["save", "delete", "purge", "restore"])
    async def test_a_row_that_another_store_has_found_is_none_of_its_own(self, database, bobs, verb):
        async with database.write() as session:
            letter = await of("bob", session).get(bobs)
            with pytest.raises(NotFound):
                await getattr(of("ada", session), verb)(letter)
        async with database.read() as session:
            assert await of("bob", session).exists(Letter.id == bobs)

    async def test_an_upsert_gets_the_values_and_reaches_nobody_elses_row(self, database, bobs):
        async with database.write() as session:
            stored = await of("ada", session).upsert({"subject": "note"}, on=["subject"])
            assert stored.owner == "ada"
        with pytest.raises(AlreadyExists):
            async with database.write() as session:
                await of("ada", session).upsert({"subject": "bill"}, on=["subject"])
        with pytest.raises(ValueError, match="owner is not what this store's rows have"):
            async with database.write() as session:
                await of("ada", session).upsert({"subject": "x", "owner": "bob"}, on=["subject"])
        async with database.read() as session:
            assert await session.scalar(select(Letter.owner).where(Letter.id == bobs)) == "bob"


@pytest.mark.parametrize("declared", ["filters", "sorts", "search"])
def test_a_list_cannot_be_asked_about_what_is_confidential(declared):
    asked = {
        "filters": {"sorts": [Letter.subject], "filters": [Filter(Letter.pin)]},
        "sorts": {"sorts": [Letter.subject, Letter.pin]},
        "search": {"sorts": [Letter.subject], "search": [Letter.pin]},
    }[declared]
    with pytest.raises(TypeError, match=r"Letter\.pin is confidential"):
        Listing(Letter, default="subject", **asked)
