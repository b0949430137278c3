"""The list contract, through HTTP: filters, orders, search, and pages that show each row once."""

import itertools
import random
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from functools import partial
from typing import Annotated
from uuid import UUID

import pytest
from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict
from sqlalchemy import JSON, BigInteger, LargeBinary, MetaData, Numeric, SmallInteger, select
from sqlalchemy.orm import Mapped, mapped_column

from mainspring.app import create_app
from mainspring.data import (
    Base,
    CursorQuery,
    CursorSlice,
    Filter,
    Identified,
    Listing,
    NumberedSlice,
    PageQuery,
    ReadSession,
    SoftDeleted,
    Store,
    Timestamped,
)
from mainspring.data._cursors import CursorCodec, Position
from mainspring.http import CursorPage, Page
from mainspring.kernel import Module
from mainspring.settings import Settings
from mainspring.testing import Schema

DAY = datetime(2026, 1, 1, tzinfo=UTC)


class ZooBase(Base):
    __abstract__ = True
    metadata = MetaData(naming_convention=Base.metadata.naming_convention)


class Mood(StrEnum):
    CALM = "calm"
    WILD = "wild"


class Animal(Identified, Timestamped, SoftDeleted, ZooBase):
    __tablename__ = "zoo_animal"

    name: Mapped[str]
    weight: Mapped[int]
    born_on: Mapped[date | None]
    fed_at: Mapped[datetime | None]
    legs: Mapped[int] = mapped_column(SmallInteger, default=4)
    cells: Mapped[int] = mapped_column(BigInteger, default=1)
    price: Mapped[Decimal | None] = mapped_column(Numeric(10, 2))
    mood: Mapped[Mood] = mapped_column(default=Mood.CALM)
    tame: Mapped[bool] = mapped_column(default=False)
    notes: Mapped[dict[str, str] | None] = mapped_column(JSON)
    print: Mapped[bytes | None] = mapped_column(LargeBinary)


ANIMALS = Listing(
    Animal,
    filters=[
        Filter(Animal.name, ("eq", "ne", "in", "contains", "startswith")),
        Filter(Animal.weight, ("eq", "lt", "lte", "gt", "gte", "in")),
        Filter(Animal.born_on, ("gte", "null")),
        Filter(Animal.fed_at, ("lt", "ne"), name="fed"),
        Filter(Animal.legs),
        Filter(Animal.cells),
        Filter(Animal.price, ("lte",)),
        Filter(Animal.mood),
        Filter(Animal.tame),
        Filter(Animal.id, ("in",)),
    ],
    sorts=[Animal.weight, Animal.name, Animal.born_on, Animal.created_at, Animal.price, Animal.fed_at],
    default="-created_at",
    search=[Animal.name],
    page_size=7,
    largest_page=50,
)


class AnimalOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    name: str
    weight: int
    born_on: date | None


def zoo() -> APIRouter:
    router = APIRouter()

    @router.get("/animals", response_model=CursorPage[AnimalOut])
    async def animals(
        query: Annotated[CursorQuery[Animal], Depends(ANIMALS.by_cursor)], session: ReadSession
    ) -> CursorSlice[Animal]:
        return await Store(Animal, session).page(query)

    @router.get("/pages", response_model=Page[AnimalOut])
    async def pages(
        query: Annotated[PageQuery[Animal], Depends(ANIMALS.by_page)],
        session: ReadSession,
        verbose: Annotated[str, Query(alias="v")] = "",
    ) -> NumberedSlice[Animal]:
        return await Store(Animal, session).page(query)

    return router


@pytest.fixture
def database_schema() -> Schema:
    return Schema(tables=ZooBase.metadata)


@pytest.fixture
def build_app():
    def build(settings=None, **overrides):
        settings = settings or Settings(api_prefix="")
        return create_app("zoo", settings=settings, modules=[Module(name="zoo", routers=(zoo(),))], **overrides)

    return build


@pytest.fixture
def settings():
    return Settings(api_prefix="")


@pytest.fixture
async def animals(database):
    """Sixty, with many that are equal in each column but the key, and some without a date."""
    chance = random.Random(7)
    async with database.write() as session:
        rows = [
            Animal(
                name=chance.choice(["ant", "bee", "cat", "Dog", "éland", "100%", "a_b"]),
                weight=chance.randrange(5),
                born_on=chance.choice([None, date(2020, 1, 1), date(2021, 2, 3)]),
                fed_at=chance.choice([None, DAY, DAY + timedelta(microseconds=chance.randrange(3))]),
                price=chance.choice([None, Decimal("1.10"), Decimal("2.25")]),
                created_at=DAY + timedelta(seconds=chance.randrange(4)),
                mood=chance.choice(list(Mood)),
                tame=chance.random() < 0.5,
            )
            for _ in range(60)
        ]
        session.add_all(rows)
        session.add(Animal(name="ghost", weight=2, deleted_at=DAY))
    return rows


async def walk(client, path="/animals", direction="next_cursor", cursor=None, **query):
    """The ids of every page from here on, and the last page's answer."""
    pages = []
    while True:
        answer = await client.get(path, params=query | ({"cursor": cursor} if cursor else {}))
        assert answer.status_code == 200, answer.text
        page = answer.json()
        pages.append([item["id"] for item in page["items"]])
        cursor = page[direction]
        if cursor is None:
            return pages, page
        assert len(pages) < 100


def ordered(rows, *keys):
    """As the contract says: nothing is the largest value, and the key decides, the way of the last column."""

    def value(row, name):
        field = getattr(row, name)
        return (field is None, field if field is not None else 0)

    rows = list(rows)
    rows.sort(key=lambda row: row.id, reverse=keys[-1].startswith("-"))
    for key in reversed(keys):
        rows.sort(key=partial(value, name=key.removeprefix("-")), reverse=key.startswith("-"))
    return [str(row.id) for row in rows]


ORDERS = ["weight", "-weight", "born_on", "-born_on", "-price,weight", "fed_at,-weight,born_on", "-fed_at,-price"]


class TestWalking:
    @pytest.mark.parametrize("sort", ORDERS)
    async def test_every_row_comes_once_in_order_whatever_the_ties_and_gaps(self, client, animals, sort):
        expected = ordered(animals, *sort.split(","))
        pages, _ = await walk(client, sort=sort)
        assert list(itertools.chain(*pages)) == expected
        assert [len(page) for page in pages] == [7] * 8 + [4]

    @pytest.mark.parametrize("sort", ORDERS)
    async def test_the_way_back_shows_the_same_pages_the_other_way_round(self, client, animals, sort):
        there, last = await walk(client, sort=sort)
        back, first = await walk(client, sort=sort, direction="previous_cursor", cursor=last["previous_cursor"])
        assert back == there[-2::-1]
        assert first["previous_cursor"] is None
        assert first["next_cursor"] is not None

    async def test_rows_that_come_and_go_meanwhile_neither_repeat_nor_hide_others(self, client, animals, database):
        survivors = {str(row.id) for row in animals}
        seen, cursor = [], None
        for step in itertools.count():
            page = (
                await client.get("/animals", params={"sort": "weight"} | ({"cursor": cursor} if cursor else {}))
            ).json()
            seen += [item["id"] for item in page["items"]]
            cursor = page["next_cursor"]
            if cursor is None:
                break
            async with database.write() as session:
                session.add(Animal(name="new", weight=step % 5))
                unseen = [row for row in await session.scalars(select(Animal)) if str(row.id) not in seen]
                # The edge of the page goes, and one that was still to come.
                for gone in {seen[-1], str(unseen[step % len(unseen)].id)}:
                    await session.delete(await session.get_one(Animal, UUID(gone)))
                    survivors.discard(gone)
        assert len(seen) == len(set(seen))
        assert survivors <= set(seen)

    async def test_a_page_whose_rows_have_all_gone_leads_back(self, client, animals, database):
        first = (await client.get("/animals", params={"sort": "weight", "page_size": 50})).json()
        async with database.write() as session:
            store = Store(Animal, session)
            shown = {UUID(item["id"]) for item in first["items"]}
            for row in await store.list(Animal.id.not_in(shown)):
                await store.delete(row)
        query = {"sort": "weight", "page_size": 50}
        empty = (await client.get("/animals", params=query | {"cursor": first["next_cursor"]})).json()
        assert (empty["items"], empty["next_cursor"]) == ([], None)
        back = (await client.get("/animals", params=query | {"cursor": empty["previous_cursor"]})).json()
        assert back["items"] == first["items"]

    async def test_the_size_of_a_page_may_change_on_the_way(self, client, animals):
        first = (await client.get("/animals", params={"sort": "name", "page_size": 10})).json()
        rest, _ = await walk(client, sort="name", page_size=50, cursor=first["next_cursor"])
        assert len(rest) == 1
        assert len(rest[0]) == 50

    async def test_the_total_is_counted_only_when_asked_for(self, client, animals):
        assert (await client.get("/animals")).json()["total"] is None
        assert (await client.get("/animals", params={"total": "true", "weight[lt]": 0})).json()["total"] == 0
        assert (await client.get("/animals", params={"total": "true"})).json()["total"] == 60


class TestCursors:
    async def cursor(self, client, **query):
        return (await client.get("/animals", params=query)).json()["next_cursor"]

    @pytest.mark.parametrize(
        "other", [{"sort": "-weight"}, {"sort": "weight", "tame": "true"}, {"sort": "weight", "search": "a"}]
    )
    async def test_belong_to_their_order_and_filters(self, client, animals, other):
        cursor = await self.cursor(client, sort="weight")
        answer = await client.get("/animals", params=other | {"cursor": cursor})
        assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_CURSOR")
        assert "Begin again without one" in answer.json()["detail"]

    async def test_cannot_be_forged(self, client, animals):
        cursor = await self.cursor(client, sort="weight")
        for place in range(len(cursor) - 1):
            other = "A" if cursor[place] != "A" else "B"
            forged = cursor[:place] + other + cursor[place + 1 :]
            answer = await client.get("/animals", params={"sort": "weight", "cursor": forged})
            assert answer.status_code == 400

    @pytest.mark.parametrize("junk", ["", "x", "é", "%00", "A" * 22, "A" * 500, "====", "../..", "null"])
    async def test_that_are_none_are_refused(self, client, junk):
        answer = await client.get("/animals", params={"cursor": junk})
        assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_CURSOR")

    async def test_of_another_service_are_refused(self, client, animals):
        belongs = "zoo_animal [('sort', \"'weight'\")]"
        foreign = CursorCodec("another secret").write(Position([1, str(animals[0].id)]), belongs_to=belongs)
        own = CursorCodec(Settings().secret_key.get_secret_value()).write(
            Position([1, str(animals[0].id)]), belongs_to=belongs
        )
        assert (await client.get("/animals", params={"sort": "weight", "cursor": foreign})).status_code == 400
        assert (await client.get("/animals", params={"sort": "weight", "cursor": own})).status_code == 200


class TestNumberedPages:
    async def test_every_row_comes_once(self, client, animals):
        shown = []
        for page in range(1, 10):
            answer = (await client.get("/pages", params={"sort": "weight", "page": page})).json()
            assert (answer["total"], answer["pages"], answer["page"], answer["page_size"]) == (60, 9, page, 7)
            shown += [item["id"] for item in answer["items"]]
        assert shown == ordered(animals, "weight")

    async def test_the_total_counts_what_the_filters_leave(self, client, animals):
        answer = (await client.get("/pages", params={"weight": 3})).json()
        assert answer["total"] == sum(row.weight == 3 for row in animals)


FILTERS = [
    ({"name": "cat"}, lambda row: row.name == "cat"),
    ({"name[ne]": "cat"}, lambda row: row.name != "cat"),
    ({"name[in]": ["cat", "bee"]}, lambda row: row.name in {"cat", "bee"}),
    ({"name[contains]": "DO"}, lambda row: row.name == "Dog"),
    ({"name[contains]": "%"}, lambda row: "%" in row.name),
    ({"name[contains]": "_"}, lambda row: "_" in row.name),
    ({"name[startswith]": "A"}, lambda row: row.name.lower().startswith("a")),
    ({"weight": 2}, lambda row: row.weight == 2),
    ({"weight[gt]": 1, "weight[lte]": 3}, lambda row: 1 < row.weight <= 3),
    ({"weight[gte]": 1, "weight[lt]": 3}, lambda row: 1 <= row.weight < 3),
    ({"weight[in]": [0, 4]}, lambda row: row.weight in {0, 4}),
    ({"born_on[null]": "true"}, lambda row: row.born_on is None),
    ({"born_on[null]": "false"}, lambda row: row.born_on is not None),
    ({"born_on[gte]": "2021-01-01"}, lambda row: row.born_on and row.born_on >= date(2021, 1, 1)),
    ({"fed[lt]": "2026-01-01T01:00:00.000001+01:00"}, lambda row: row.fed_at and row.fed_at <= DAY),
    ({"fed[ne]": "2026-01-01T00:00:00Z"}, lambda row: row.fed_at != DAY),
    ({"price[lte]": "1.10"}, lambda row: row.price and row.price <= Decimal("1.10")),
    ({"mood": "wild"}, lambda row: row.mood is Mood.WILD),
    ({"tame": "true", "weight[lt]": 3}, lambda row: row.tame and row.weight < 3),
    ({"search": "A"}, lambda row: "a" in row.name.lower()),
    ({"search": "%"}, lambda row: "%" in row.name),
]


class TestFilters:
    @pytest.mark.parametrize(("query", "fits"), FILTERS, ids=[str(query) for query, _ in FILTERS])
    async def test_leave_what_fits(self, client, animals, query, fits):
        pages, _ = await walk(client, **query)
        expected = {str(row.id) for row in animals if fits(row)}
        assert expected
        assert set(itertools.chain(*pages)) == expected

    async def test_by_keys(self, client, animals):
        ids = sorted(str(row.id) for row in animals[:3])
        pages, _ = await walk(client, **{"id[in]": ids})
        assert sorted(pages[0]) == ids

    @pytest.mark.parametrize(
        ("query", "location"),
        [
            ({"weight": "heavy"}, "weight"),
            ({"weight": 2**31}, "weight"),
            ({"legs": 2**15}, "legs"),
            ({"cells": 2**63}, "cells"),
            ({"price[lte]": "NaN"}, "price[lte]"),
            ({"price[lte]": "1.105"}, "price[lte]"),
            ({"price[lte]": "999999999.99"}, "price[lte]"),
            ({"name": "a\0b"}, "name"),
            ({"name": "a" * 201}, "name"),
            ({"fed[lt]": "2026-01-01T00:00:00"}, "fed[lt]"),
            ({"fed[lt]": "0.5"}, "fed[lt]"),
            ({"fed[lt]": "1e9"}, "fed[lt]"),
            ({"born_on[gte]": "0"}, "born_on[gte]"),
            ({"mood": "sad"}, "mood"),
            ({"id[in]": "7"}, "id[in]"),
            ({"search": "a\0"}, "search"),
            ({"page_size": 51}, "page_size"),
            ({"page_size": 0}, "page_size"),
            ({"sort": "height"}, "sort"),
            ({"sort": ""}, "sort"),
            ({"sort": "weight,-weight"}, "sort"),
            ({"weight[in]": list(range(101))}, "weight[in]"),
        ],
    )
    async def test_refuse_what_the_column_cannot_take(self, client, query, location):
        answer = await client.get("/animals", params=query)
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["loc"][:2] == ["query", location]

    async def test_the_largest_values_of_each_column_are_taken(self, client):
        query = {"weight": 2**31 - 1, "legs": -(2**15), "cells": 2**63 - 1, "price[lte]": "99999999.99"}
        assert (await client.get("/animals", params=query)).json()["items"] == []

    @pytest.mark.parametrize("path", ["/animals", "/pages"])
    async def test_a_parameter_that_is_not_declared_is_refused_with_the_one_that_was_meant(self, client, path):
        answer = await client.get(path, params={"tamed": "true", "born_on[lt]": "2020-01-01", "zzz": 1})
        assert answer.status_code == 422
        errors = {error["loc"][1]: error["msg"] for error in answer.json()["errors"]}
        assert "did you mean tame?" in errors["tamed"]
        assert "did you mean born_on[gte]?" in errors["born_on[lt]"]
        assert errors["zzz"] == "There is no such parameter."

    async def test_other_parameters_of_the_route_are_left_to_it(self, client):
        assert (await client.get("/pages", params={"v": "true"})).status_code == 200
        assert (await client.get("/animals", params={"v": "true"})).status_code == 422


class TestDeclaring:
    @pytest.mark.parametrize("attribute", [Animal.notes, Animal.print])
    def test_refuses_columns_that_a_query_string_cannot_hold(self, attribute):
        with pytest.raises(TypeError, match="which no filter can compare"):
            Listing(Animal, sorts=[attribute], default=attribute.key)

    def test_refuses_a_default_that_is_no_order(self):
        with pytest.raises(ValueError, match="there is no order by 'height'; there is weight"):
            Listing(Animal, sorts=[Animal.weight], default="-height")

    def test_refuses_two_filters_of_one_name(self):
        with pytest.raises(ValueError, match="Two filters of Animal"):
            Listing(
                Animal,
                sorts=[Animal.weight],
                default="weight",
                filters=[Filter(Animal.weight), Filter(Animal.legs, name="weight")],
            )

    async def test_everything_is_in_the_api_description(self, client):
        operation = (await client.get("/openapi.json")).json()["paths"]["/animals"]["get"]
        parameters = {parameter["name"]: parameter for parameter in operation["parameters"]}
        assert {"sort", "page_size", "search", "cursor", "total", "weight", "weight[gte]", "name[in]"} <= set(
            parameters
        )
        assert parameters["sort"]["schema"]["default"] == "-created_at"
        assert parameters["sort"]["schema"]["pattern"].startswith("^-?(weight|name|born_on")
        assert parameters["page_size"]["schema"]["maximum"] == 50
        assert parameters["name[in]"]["description"] == "One of these; repeat the parameter for each."
