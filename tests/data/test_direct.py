"""Reads that go past the session to the driver give what the session would have given."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from types import SimpleNamespace
from typing import Any, ClassVar
from uuid import UUID, uuid4

import pytest
from fastapi.dependencies.models import Dependant
from pydantic import BaseModel, SecretStr
from sqlalchemy import JSON, MetaData, Numeric, event, select, text
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.orm import Mapped, column_property, composite, deferred, load_only, mapped_column

from mainspring.data import (
    Base,
    ConnectionLimits,
    CursorQuery,
    Database,
    Identified,
    Listing,
    SoftDeleted,
    Store,
    Timestamped,
    Versioned,
    relationship,
)
from mainspring.data._entities import is_plain
from mainspring.errors import DatabaseUnavailable, DeadlineExceeded, NotFound
from mainspring.testing import Schema, query_budget


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class GarageBase(Base):
    __abstract__ = True
    metadata = MetaData(naming_convention=Base.metadata.naming_convention)


class Car(Identified, Timestamped, SoftDeleted, Versioned, GarageBase):
    __tablename__ = "garage_car"

    owner: Mapped[str | None]
    price: Mapped[Decimal] = mapped_column(Numeric(10, 2))
    weight: Mapped[float]
    colour: Mapped[Colour]
    extras: Mapped[dict[str, Any]] = mapped_column(JSON)
    print: Mapped[bytes]
    sold_at: Mapped[datetime | None]


class Dear(Base):
    """The same rows, with a column that is computed."""

    __table__ = Car.__table__
    double = column_property(Car.__table__.c.price * 2)


class DearOut(BaseModel):
    owner: str
    double: Decimal


DEAR = Listing(Dear, sorts=[Dear.double, Dear.price], default="price")


def dear_query(**asked: Any) -> CursorQuery[Dear]:
    settings = SimpleNamespace(secret_key=SecretStr("of a test"))
    state = SimpleNamespace(settings=settings)
    request: Any = SimpleNamespace(
        app=SimpleNamespace(state=state),
        query_params={},
        scope={"route": SimpleNamespace(dependant=Dependant())},
    )
    return DEAR.by_cursor(request, cursor=None, total=False, page_size=20, **asked)


@pytest.fixture
def database_schema() -> Schema:
    return Schema(tables=GarageBase.metadata)


SOLD = datetime(2026, 3, 1, 12, 30, 15, 123456, tzinfo=UTC)


def car(**values: Any) -> Car:
    given: dict[str, Any] = {
        "owner": "ada",
        "price": Decimal("12.50"),
        "weight": 1.5,
        "colour": Colour.BLUE,
        "extras": {"seats": [1, 2], "näme": None},
        "print": b"\x00\xff",
        "sold_at": SOLD,
    }
    return Car(**given | values)


@pytest.fixture
async def parked(fresh_database) -> UUID:
    async with fresh_database.write() as session:
        return (await Store(Car, session).add(car())).id


class TestObjects:
    async def test_have_the_values_that_the_orm_gives(self, fresh_database, parked):
        async with fresh_database.read() as session:
            direct = await Store(Car, session).get(parked)
        async with fresh_database.read() as session:
            mapped = await session.get(Car, parked)
        names = [attribute.key for attribute in Car.__mapper__.column_attrs]
        assert {name: getattr(direct, name) for name in names} == {name: getattr(mapped, name) for name in names}
        assert [type(getattr(direct, name)) for name in names] == [type(getattr(mapped, name)) for name in names]

    async def test_are_the_sessions_own(self, fresh_database, parked):
        async with fresh_database.read() as session:
            store = Store(Car, session)
            first = await store.get(parked)
            assert first in session
            assert await store.get(parked) is first
            assert (await store.list()) == [first]
            assert await session.get(Car, parked) is first

    async def test_that_were_changed_are_refused_like_any_other(self, fresh_database, parked):
        with pytest.raises(TypeError, match="ReadSession cannot store changes"):
            async with fresh_database.read() as session:
                (await Store(Car, session).get(parked)).owner = "bob"

    async def test_that_are_marked_as_deleted_stay_out(self, fresh_database, parked):
        async with fresh_database.write() as session:
            store = Store(Car, session)
            await store.delete(await store.get(parked))
        async with fresh_database.read() as session:
            store = Store(Car, session)
            assert (await store.find(parked), await store.list()) == (None, [])
            assert (await store.including_deleted().get(parked)).deleted_at is not None

    async def test_of_somebody_without_a_value_are_found_by_the_absence(self, fresh_database, parked):
        async with fresh_database.write() as session:
            await Store(Car, session).add(car(owner=None))
        async with fresh_database.read() as session:
            assert [row.owner for row in await Store(Car, session, only={"owner": None}).list()] == [None]

    async def test_come_in_the_asked_order(self, fresh_database):
        async with fresh_database.write() as session:
            await Store(Car, session).add_many([car(weight=weight) for weight in (2.0, 3.0, 1.0)])
        async with fresh_database.read() as session:
            store = Store(Car, session)
            for order, weights in (
                ([Car.weight], [1, 2, 3]),
                ([Car.weight.desc()], [3, 2, 1]),
                ([Car.weight.asc()], [1, 2, 3]),
                ([Car.colour, Car.weight.desc()], [3, 2, 1]),
                ([-Car.weight], [3, 2, 1]),
            ):
                assert [row.weight for row in await store.list(order_by=order)] == weights
            assert [row.weight for row in await store.list(order_by=[Car.weight], limit=2)] == [1, 2]


class TestConnections:
    async def test_none_is_held_after_a_read(self, fresh_database, parked):
        async with fresh_database.read() as session:
            await Store(Car, session).get(parked)
            assert {pool.checked_out for pool in fresh_database.pools()} == {0}
            assert not session.in_transaction()

    async def test_a_session_that_holds_one_does_not_wait_for_a_second(self, database_url, parked):
        database = Database.connect(database_url, pool_size=1, pool_timeout=0.1)
        try:
            async with database.read() as session:
                await session.execute(text("SELECT 1"))
                assert (await Store(Car, session).get(parked)).owner == "ada"
        finally:
            await database.close()

    async def test_too_few_are_the_error_for_a_busy_service(self, database_url, parked):
        database = Database.connect(database_url, pool_size=1, pool_timeout=0.1)
        try:
            async with database.read() as holding:
                await holding.execute(text("SELECT 1"))
                with pytest.raises(DatabaseUnavailable, match="busy"):
                    async with database.read() as session:
                        await Store(Car, session).get(parked)
        finally:
            await database.close()

    async def test_a_cancelled_read_leaves_the_pool_whole(self, fresh_database, parked):
        async def read() -> None:
            async with fresh_database.read() as session:
                await Store(Car, session).get(parked)

        # A driver that is interrupted while it connects is another story.
        await read()
        for _ in range(20):
            task = asyncio.create_task(read())
            for _ in range(3):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
        assert {pool.checked_out for pool in fresh_database.pools()} == {0}
        await read()

    @pytest.mark.databases("postgresql")
    async def test_one_that_the_server_has_closed_is_got_over_within_the_next_reads(self, fresh_database, parked):
        async with fresh_database.read() as session:
            await Store(Car, session).get(parked)
        async with fresh_database.write() as session:
            others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
            await session.execute(text(f"{others} AND datname = current_database()"))
        outcomes = []
        for _ in range(3):
            try:
                async with fresh_database.read() as session:
                    outcomes.append((await Store(Car, session).get(parked)).owner)
            except DatabaseUnavailable:
                outcomes.append("unavailable")
        assert outcomes[-1] == "ada"

    async def test_a_key_of_the_wrong_kind_is_told_as_the_session_tells_it(self, fresh_database, parked):
        async with fresh_database.read() as session:
            with pytest.raises(Exception, match=r"UUID|hex|str"):
                await Store(Car, session).get(object())

    async def test_a_table_that_has_changed_meanwhile_is_read_all_the_same(self, fresh_database, parked):
        async with fresh_database.read() as session:
            await Store(Car, session).get(parked)
        async with fresh_database.write() as session:
            await session.execute(text("ALTER TABLE garage_car ADD COLUMN doors INTEGER"))
        async with fresh_database.read() as session:
            assert (await Store(Car, session).get(parked)).owner == "ada"
            with pytest.raises(NotFound):
                await Store(Car, session).get(uuid4())


class TestPlainModels:
    def test_a_model_of_columns_is_one(self):
        assert is_plain(Car)

    def test_one_with_more_than_its_columns_is_none(self):
        class Plain(Base):
            __abstract__ = True
            metadata = MetaData()

        class Deferring(Identified, Plain):
            __tablename__ = "deferring"
            notes: Mapped[str] = deferred(mapped_column())

        class Computing(Identified, Plain):
            __tablename__ = "computing"
            low: Mapped[int]
            double: Mapped[int] = column_property(select(1).scalar_subquery())

        class Parent(Identified, Plain):
            __tablename__ = "parent"
            kind: Mapped[str]
            __mapper_args__: ClassVar = {"polymorphic_on": "kind", "polymorphic_identity": "parent"}

        class Eager(Identified, Plain):
            __tablename__ = "eager"
            others: Mapped[list[Deferring]] = relationship(
                primaryjoin="Eager.id == foreign(Deferring.id)", lazy="selectin", viewonly=True
            )

        class Composed(Identified, Plain):
            __tablename__ = "composed"
            low: Mapped[int]
            point: Mapped[Any] = composite(lambda low: (low,), "low")

        class Watched(Identified, Plain):
            __tablename__ = "watched"

        event.listen(Watched, "load", lambda *_: None)
        assert [is_plain(model) for model in (Deferring, Computing, Parent, Eager, Composed, Watched)] == [False] * 6


class TestOnlyWhatIsPlain:
    async def test_a_computed_column_is_read_by_the_session(self, fresh_database, parked):
        """It may look into other tables, where only the session knows what is to be left out."""
        async with fresh_database.read() as session:
            store = Store(Dear, session)
            assert (await store.into(DearOut).get(parked)).double == 25
            query = dear_query(sort="double")
            assert query.template is None
            assert [row.double for row in (await store.page(query)).items] == [25]

    async def test_a_query_that_was_narrowed_since_is_read_as_it_is_now(self, fresh_database, parked):
        narrowed = replace(dear_query(sort="price"), criteria=[Dear.owner == "somebody else"])
        async with fresh_database.read() as session:
            assert (await Store(Dear, session).page(narrowed)).items == []
            assert (await Store(Dear, session).into(DearOut).page(narrowed)).items == []

    async def test_what_has_expired_or_was_not_asked_for_is_filled_in(self, fresh_database, parked):
        async with fresh_database.read() as session:
            store = Store(Car, session)
            found = await session.scalar(select(Car).options(load_only(Car.owner)))
            assert (await store.get(parked)) is found
            assert (found.weight, found.colour) == (1.5, Colour.BLUE)
            session.expire(found)
            await store.list()
            assert found.owner == "ada"

    async def test_a_closed_session_reads_nothing(self, fresh_database, parked):
        async with fresh_database.read() as session:
            store = Store(Car, session)
        with pytest.raises(InvalidRequestError, match="closed"):
            await store.get(parked)

    @pytest.mark.databases("postgresql")
    async def test_a_connection_that_is_refused_is_an_unavailable_database(self, database_url, parked):
        database = Database.connect(f"{database_url}_missing")
        try:
            with pytest.raises(DatabaseUnavailable):
                async with database.read() as session:
                    await Store(Car, session).get(parked)
        finally:
            await database.close()

    @pytest.mark.databases("postgresql")
    async def test_a_statement_that_takes_too_long_is_not_asked_again(self, fresh_database, database_url, parked):
        database = Database.connect(database_url, limits=ConnectionLimits(statement=0.3))
        try:
            async with fresh_database.write() as session:
                await session.execute(text("LOCK TABLE garage_car IN ACCESS EXCLUSIVE MODE"))
                with query_budget(1), pytest.raises(DeadlineExceeded):
                    async with database.read() as reading:
                        await Store(Car, reading).get(parked)
        finally:
            await database.close()
