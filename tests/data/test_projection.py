"""Projections: rows straight into the model of an answer."""

from typing import Annotated, Any
from uuid import UUID, uuid4

import pytest
from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field
from sqlalchemy import MetaData, Select
from sqlalchemy.orm import Mapped, mapped_column

from mainspring.app import create_app
from mainspring.data import (
    Base,
    CursorQuery,
    CursorSlice,
    Filter,
    Identified,
    Listing,
    ReadSession,
    SoftDeleted,
    Store,
)
from mainspring.errors import NotFound
from mainspring.http import CursorPage
from mainspring.kernel import Module
from mainspring.settings import Settings
from mainspring.testing import Schema


class ZooBase(Base):
    __abstract__ = True
    metadata = MetaData(naming_convention=Base.metadata.naming_convention)


class Beast(Identified, SoftDeleted, ZooBase):
    __tablename__ = "zoo_beast"

    keeper: Mapped[str] = mapped_column(default="ada")
    name: Mapped[str]
    weight: Mapped[int | None]
    chip: Mapped[str] = mapped_column(default="", info={"confidential": True})


class BeastOut(BaseModel):
    id: UUID
    title: str = Field(validation_alias="name")


class Narrowed(Store[Beast]):
    def visible(self, statement: Select[Any]) -> Select[Any]:
        return statement.where(Beast.keeper == "ada")


BEASTS = Listing(
    Beast,
    sorts=[Beast.weight, Beast.name],
    default="weight",
    filters=[Filter(Beast.name, ("gte", "in", "contains")), Filter(Beast.weight, ("null",))],
)


@pytest.fixture
def database_schema() -> Schema:
    return Schema(tables=ZooBase.metadata)


@pytest.fixture
async def zoo(database) -> dict[str, UUID]:
    async with database.write() as session:
        rows = [Beast(name=name, weight=weight) for name, weight in (("ape", 3), ("bee", 1), ("cow", None))]
        rows += [Beast(name="dog", keeper="bob"), Beast(name="eel")]
        await Store(Beast, session).add_many(rows)
        await Store(Beast, session).delete(rows[-1])
    return {row.name: row.id for row in rows}


def stores(session: Any) -> list[Store[Beast]]:
    """One that reads directly, one that has to ask with a statement."""
    return [Store(Beast, session, only={"keeper": "ada"}), Narrowed(Beast, session)]


class TestReading:
    async def test_gives_what_is_shown_of_what_is_visible(self, database, zoo):
        async with database.read() as session:
            for store in stores(session):
                beasts = store.into(BeastOut)
                assert await beasts.get(zoo["ape"]) == BeastOut(id=zoo["ape"], name="ape")  # type: ignore[call-arg]
                assert [await beasts.find(zoo[name]) for name in ("dog", "eel")] == [None, None]
                listed = await beasts.list(order_by=[Beast.name.desc()], limit=2)
                assert [beast.title for beast in listed] == ["cow", "bee"]
                with pytest.raises(NotFound, match="There is no beast with this id"):
                    await beasts.get(uuid4())

    async def test_orders_by_more_than_columns_too(self, database, zoo):
        async with database.read() as session:
            listed = await stores(session)[0].into(BeastOut).list(order_by=[-Beast.weight], limit=1)
        assert listed[0].title in {"ape", "cow"}

    async def test_sees_what_its_own_unit_of_work_has_stored(self, database, zoo):
        async with database.write() as session:
            store = stores(session)[0]
            added = await store.add(Beast(name="fox"))
            assert (await store.into(BeastOut).get(added.id)).title == "fox"

    async def test_sees_the_deleted_where_its_store_does(self, database, zoo):
        async with database.read() as session:
            for store in stores(session):
                assert (await store.including_deleted().into(BeastOut).get(zoo["eel"])).title == "eel"


class TestDeclaring:
    def test_refuses_a_field_without_a_column(self):
        class Wrong(BaseModel):
            height: int

        with pytest.raises(TypeError, match=r"Wrong\.height: Beast has no column height"):
            Store(Beast, Any).into(Wrong)

    def test_refuses_a_confidential_column(self):
        class Leaky(BaseModel):
            chip: str

        with pytest.raises(TypeError, match=r"Leaky\.chip: Beast\.chip is confidential"):
            Store(Beast, Any).into(Leaky)


def routes() -> APIRouter:
    router = APIRouter()
    query = Annotated[CursorQuery[Beast], Depends(BEASTS.by_cursor)]

    @router.get("/rows/{way}", response_model=CursorPage[BeastOut])
    async def rows(way: int, query: query, session: ReadSession) -> CursorSlice[Beast]:
        return await stores(session)[way].page(query)

    @router.get("/projected/{way}", response_model=CursorPage[BeastOut])
    async def projected(way: int, query: query, session: ReadSession) -> CursorSlice[BeastOut]:
        return await stores(session)[way].into(BeastOut).page(query)

    return router


@pytest.fixture
def build_app():
    def build(settings=None, **overrides):
        settings = settings or Settings(api_prefix="")
        return create_app("zoo", settings=settings, modules=[Module(name="zoo", routers=(routes(),))], **overrides)

    return build


@pytest.fixture
def settings():
    return Settings(api_prefix="")


async def walked(client: Any, path: str, asked: dict[str, str]) -> list[list[str]]:
    """The titles on each page, there and back again."""
    pages, cursor, direction = [], None, "next_cursor"
    while True:
        answer = await client.get(path, params=asked | {"page_size": 1, "total": True} | (cursor or {}))
        assert answer.status_code == 200, answer.text
        page = answer.json()
        pages.append([item["title"] for item in page["items"]] + [page["total"]])
        if page[direction] is None:
            if direction == "previous_cursor":
                return pages
            direction = "previous_cursor"
        cursor = {"cursor": page[direction]} if page[direction] else None
        if cursor is None:
            return pages


class TestPages:
    @pytest.mark.parametrize(
        ("asked", "titles"),
        [
            ({"sort": "weight"}, ["bee", "ape", "cow"]),
            ({"sort": "-weight"}, ["cow", "ape", "bee"]),
            ({"sort": "name", "name[gte]": "b"}, ["bee", "cow"]),
            ({"sort": "-name", "name[in]": ["ape", "cow"]}, ["cow", "ape"]),
            ({"sort": "name", "name[contains]": "e"}, ["ape", "bee"]),
            ({"weight[null]": "true"}, ["cow"]),
            ({"weight[null]": "false", "sort": "-weight,name"}, ["ape", "bee"]),
        ],
    )
    async def test_are_the_same_whichever_way_they_are_read(self, client, zoo, asked, titles):
        pages = [await walked(client, f"/{kind}/{way}", asked) for kind in ("rows", "projected") for way in (0, 1)]
        there = [[title, len(titles)] for title in titles]
        assert pages == [[*there, *there[-2::-1]]] * 4
