"""nested: what belongs to a row comes with it, in the same statement and to the last digit."""

import random
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Column, ForeignKey, Interval, Table, event, func, select, update
from sqlalchemy.orm import Mapped, mapped_column

from mainspring.data import copy_rows, including_deleted, nested, relationship
from mainspring.testing import Schema
from tests.data.bulk_models import Bin, Colour, Part, WarehouseBase, full_part

_labelled = Table(
    "warehouse_labelled",
    WarehouseBase.metadata,
    Column("shelf", ForeignKey("warehouse_shelf.id"), primary_key=True),
    Column("label", ForeignKey("warehouse_label.id"), primary_key=True),
)


class Label(WarehouseBase):
    __tablename__ = "warehouse_label"

    id: Mapped[int] = mapped_column(primary_key=True)
    word: Mapped[str | None]
    lasts: Mapped[timedelta | None] = mapped_column(Interval)


class Shelf(WarehouseBase):
    __tablename__ = "warehouse_shelf"

    id: Mapped[int] = mapped_column(primary_key=True)
    above_id: Mapped[int | None] = mapped_column(ForeignKey("warehouse_shelf.id"))
    above: Mapped["Shelf | None"] = relationship(remote_side="Shelf.id", back_populates="below")
    below: Mapped[list["Shelf"]] = relationship(back_populates="above")
    labels: Mapped[list[Label]] = relationship(secondary=_labelled)


class PartOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    code: str
    amount: int
    price: Decimal | None
    weight: float | None
    bought_at: datetime | None
    made_on: date | None
    colour: Colour | None
    about: dict[str, Any] | None
    notes: Any
    photo: bytes | None
    pin: str | None
    is_sold: bool


class CodeOut(BaseModel):
    code: str


class LabelOut(BaseModel):
    id: int
    word: str | None


class ShelfOut(BaseModel):
    id: int


@pytest.fixture
def database_schema() -> Schema:
    return Schema(tables=WarehouseBase.metadata)


@pytest.fixture
async def bins(database) -> dict[str, UUID]:
    """An empty bin and a full one; the ids by name."""
    ids = {name: Bin.id.default.arg(None) for name in ("empty", "full")}
    async with database.write() as session:
        await copy_rows(session, Bin, [{"id": key, "name": name} for name, key in ids.items()])
        rows = [{**full_part(number), "bin_id": ids["full"]} for number in range(30)]
        odd: dict[str, Any] = {
            "code": "\u2028 \U0001f9f0 \"quoted\" \\ 'it''s' \x1f é",
            "price": Decimal("-12345678901234.567891"),
            "weight": 5e-324,
            "bought_at": datetime(1999, 12, 31, 23, 59, 59, 999999, tzinfo=timezone(timedelta(hours=5))),
        }
        rows.append({**full_part(31), **odd, "bin_id": ids["full"]})
        await copy_rows(session, Part, rows)
        empty = {name: None for name in full_part(0) if name != "code"}
        await copy_rows(session, Part, [{"code": "none", **empty, "bin_id": ids["full"]}])
        random.seed(7)
        floats = [random.random() * 10.0 ** random.randint(-300, 300) for _ in range(2_000)]
        prices = [Decimal(random.randint(-(10**17), 10**17)).scaleb(-6) for _ in range(2_000)]
        numbers = [
            {"code": f"n{place}", "weight": weight, "price": price, "bin_id": ids["full"]}
            for place, (weight, price) in enumerate(zip(floats, prices, strict=True))
        ]
        await copy_rows(session, Part, numbers)
    return ids


async def read(database: Any, statement: Any, **options: Any) -> Any:
    async with database.read() as session:
        return dict((await session.execute(statement, **options)).all())


async def test_every_value_is_that_of_a_plain_read(database, bins):
    found = await read(database, select(Bin.name, nested(Bin.parts, PartOut)))
    async with database.read() as session:
        plain = (await session.scalars(select(Part).order_by(Part.id))).all()
    assert found["empty"] == []
    assert len(found["full"]) == 2_032
    assert found["full"] == [PartOut.model_validate(part) for part in plain]


async def test_is_one_statement_whatever_comes(database, bins):
    said: list[str] = []
    async with database.read() as session:
        connection = await session.connection()
        event.listen(connection.sync_connection, "before_cursor_execute", lambda *given: said.append(given[2]))
        await session.execute(select(Bin, nested(Bin.parts, CodeOut)))
    assert len(said) == 1


async def test_comes_in_the_asked_order_and_then_by_key(database, bins):
    async with database.write() as session:
        await session.execute(update(Part).where(Part.price.is_not(None)).values(price=func.length(Part.code) % 2))
    descending = await read(database, select(Bin.name, nested(Bin.parts, PartOut, order_by=["-price", "code"])))
    keys = [(part.price is not None, -(part.price or 0), part.code) for part in descending["full"]]
    assert keys == sorted(keys, key=lambda key: key[:2])
    assert keys[0] == (False, 0, "none")


async def test_what_is_deleted_is_left_out_unless_it_is_asked_for(database, bins):
    statement = select(Bin.name, nested(Bin.parts, CodeOut))
    async with database.write() as session:
        await session.execute(update(Part).where(Part.code != "none").values(deleted_at=func.now()))
    assert [part.code for part in (await read(database, statement))["full"]] == ["none"]
    seen = await read(database, statement, execution_options=including_deleted())
    assert len(seen["full"]) == 2_032


async def test_fields_are_taken_by_name_also_where_they_have_an_alias(database, bins):
    class Out(BaseModel):
        code: str = Field(alias="partCode")

    found = await read(database, select(Bin.name, nested(Bin.parts, Out, order_by=["-code"])))
    assert found["full"][-1].code < found["full"][0].code


async def test_many_to_many_and_a_table_that_refers_to_itself(database):
    async with database.write() as session:
        top = Shelf(id=1)
        session.add_all([top, Shelf(id=2, above=top), Shelf(id=3, above=top)])
        top.labels = [Label(id=1, word="dry"), Label(id=2)]
    async with database.read() as session:
        columns = nested(Shelf.below, ShelfOut, order_by=["-id"]), nested(Shelf.labels, LabelOut)
        found = (await session.execute(select(*columns).select_from(Shelf).order_by(Shelf.id))).all()
    assert [tuple(row) for row in found] == [
        ([ShelfOut(id=3), ShelfOut(id=2)], [LabelOut(id=1, word="dry"), LabelOut(id=2, word=None)]),
        ([], []),
        ([], []),
    ]


async def test_may_stand_beside_other_models_with_criteria_and_limits(database, bins):
    statement = select(Bin.name, nested(Bin.parts, CodeOut)).join(Part, Part.bin_id == Bin.id)
    found = await read(database, statement.where(Part.code == "none").limit(1))
    assert len(found["full"]) == 2_032


class TestRefuses:
    def test_what_is_no_relationship_to_many(self):
        for attribute in (Part.bin, Bin.name):
            with pytest.raises(TypeError, match="is not a relationship to many"):
                nested(attribute, ShelfOut)

    def test_a_field_that_is_no_column(self):
        with pytest.raises(TypeError, match=r"CodeOut\.code: Label has no column of this name"):
            nested(Shelf.labels, CodeOut)

    def test_a_type_that_json_cannot_carry(self):
        class Out(BaseModel):
            lasts: timedelta

        with pytest.raises(TypeError, match="lasts is a Interval"):
            nested(Shelf.labels, Out)

    def test_an_order_by_what_is_not_there(self):
        with pytest.raises(TypeError, match="Part has no size to be ordered by"):
            nested(Bin.parts, PartOut, order_by=["-size"])
