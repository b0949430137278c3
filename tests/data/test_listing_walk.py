"""Walking a long list while others change it: whatever stays the whole time is shown once, and a late page costs what an
early one does.
"""

import asyncio
import itertools
import random
from collections import Counter
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict
from sqlalchemy import Index, MetaData, delete, insert, select, text
from sqlalchemy.orm import Mapped, mapped_column

from mainspring.app import create_app
from mainspring.data import (
    Base,
    CursorQuery,
    CursorSlice,
    Listing,
    NumberedSlice,
    PageQuery,
    ReadSession,
    Store,
    copy_rows,
)
from mainspring.data._cursors import Position
from mainspring.http import CursorPage, Page
from mainspring.kernel import Module
from mainspring.settings import Settings
from mainspring.testing import Schema

ROWS = 20_000
# Rows with odd ids go while the list is walked, and new ones come; those with even ids stay.
WALKED = ["-grade", "rank", "grade,-rank"]
SORTS = ["grade", "-grade", "rank", "-rank", "grade,-rank", "-rank,grade"]


class FieldBase(Base):
    __abstract__ = True
    metadata = MetaData(naming_convention=Base.metadata.naming_convention)


class Plant(FieldBase):
    __tablename__ = "field_plant"
    __table_args__ = (
        Index("ix_field_plant_grade", "grade", "id"),
        Index("ix_field_plant_rank", "rank", "id"),
        Index("ix_field_plant_both", "grade", text("rank DESC"), text("id DESC")),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    grade: Mapped[int]
    rank: Mapped[int | None]


PLANTS = Listing(Plant, sorts=[Plant.grade, Plant.rank], default="grade", largest_page=1_000)


class PlantOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: int
    grade: int
    rank: int | None


def field() -> APIRouter:
    router = APIRouter()

    @router.get("/plants", response_model=CursorPage[PlantOut])
    async def plants(
        query: Annotated[CursorQuery[Plant], Depends(PLANTS.by_cursor)], session: ReadSession
    ) -> CursorSlice[Plant]:
        return await Store(Plant, session).page(query)

    @router.get("/numbered", response_model=Page[PlantOut])
    async def numbered(
        query: Annotated[PageQuery[Plant], Depends(PLANTS.by_page)], session: ReadSession
    ) -> NumberedSlice[Plant]:
        return await Store(Plant, session).page(query)

    return router


@pytest.fixture
def database_schema() -> Schema:
    return Schema(tables=FieldBase.metadata)


@pytest.fixture
def settings():
    return Settings(api_prefix="")


@pytest.fixture
def build_app():
    def build(settings=None, **overrides):
        settings = settings or Settings(api_prefix="")
        return create_app("field", settings=settings, modules=[Module(name="field", routers=(field(),))], **overrides)

    return build


def plant(number: int, chance: random.Random) -> dict[str, Any]:
    return {"id": number, "grade": chance.randrange(7), "rank": chance.choice([None, chance.randrange(50)])}


@pytest.fixture
async def plants(fresh_database) -> set[int]:
    """The ids of those that stay."""
    chance = random.Random(3)
    async with fresh_database.write() as session:
        await copy_rows(session, Plant, (plant(number, chance) for number in range(ROWS)))
    return set(range(0, ROWS, 2))


class Disturbance:
    """Takes rows all over the list away, and brings new ones, in transactions of their own."""

    def __init__(self, database: Any) -> None:
        self._database = database
        self._chance = random.Random(5)
        self._leaving = iter(self._chance.sample(range(1, ROWS, 2), ROWS // 2))
        self._coming = itertools.count(ROWS)

    async def __call__(self) -> None:
        gone = list(itertools.islice(self._leaving, 100))
        new = [plant(number, self._chance) for number in itertools.islice(self._coming, 100)]
        async with self._database.write() as session:
            assert (await session.execute(delete(Plant).where(Plant.id.in_(gone)))).rowcount == 100
            await session.execute(insert(Plant), new)


async def pages(client: Any, sort: str, *, cursor: str | None = None, to: str = "next_cursor", size: int = 250) -> Any:
    """Each page from a cursor on, to the last in one direction."""
    while True:
        asked = {"sort": sort, "page_size": size} | ({"cursor": cursor} if cursor else {})
        page = (await client.get("/plants", params=asked)).json()
        yield page
        cursor = page[to]
        if cursor is None:
            return


@pytest.mark.parametrize("sort", WALKED)
@pytest.mark.parametrize("back", [False, True], ids=["forwards", "backwards"])
async def test_every_row_that_stays_is_shown_once_and_none_twice(client, fresh_database, plants, sort, back):
    cursor, last = None, []
    if back:
        async for page in pages(client, sort, size=1_000):
            cursor, last = page["previous_cursor"], page["items"]
    disturb = Disturbance(fresh_database)
    seen = Counter(item["id"] for item in last)
    changes: list[asyncio.Task[None]] = []
    async for page in pages(client, sort, cursor=cursor, to="previous_cursor" if back else "next_cursor"):
        seen.update(item["id"] for item in page["items"])
        await asyncio.gather(*changes)
        # It runs while the next page is read.
        changes = [asyncio.create_task(disturb())]
    await asyncio.gather(*changes)
    assert [number for number, times in seen.items() if times > 1] == []
    assert plants - seen.keys() == set()


async def test_numbered_pages_miss_and_repeat_rows_under_the_same_changes(client, fresh_database, plants):
    seen: Counter[int] = Counter()
    disturb = Disturbance(fresh_database)
    for number in range(1, ROWS // 250 + 1):
        found = await client.get("/numbered", params={"sort": "grade", "page": number, "page_size": 250})
        seen.update(item["id"] for item in found.json()["items"])
        await disturb()
    assert plants - seen.keys()
    assert max(seen.values()) > 1


async def work(session: Any, query: CursorQuery[Plant]) -> int:
    """What the database does for a page: rows that PostgreSQL reads, or steps of SQLite's machine, in tens."""
    if session.get_bind().dialect.name == "postgresql":
        counted = text(
            "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = 'field_plant'"
        )
        before = await session.scalar(counted)
        await Store(Plant, session).page(query)
        return await session.scalar(counted) - before
    steps = itertools.count()
    driver = (await (await session.connection()).get_raw_connection()).driver_connection
    await driver.set_progress_handler(lambda: next(steps) < 0, 10)
    await Store(Plant, session).page(query)
    await driver.set_progress_handler(None, 0)
    return next(steps)


@pytest.mark.parametrize("sort", SORTS)
async def test_a_late_page_is_no_more_work_than_an_early_one(fresh_database, plants, sort):
    terms = PLANTS._terms(sort)
    ordering = [term.ordering() for term in terms]
    done = []
    async with fresh_database.write() as session:
        await session.execute(text("ANALYZE"))
        for place in (100, ROWS // 2, ROWS - 200):
            row = await session.scalar(select(Plant).order_by(*ordering).offset(place).limit(1))
            position = Position([getattr(row, term.attribute.key) for term in terms])
            query = CursorQuery(criteria=(), terms=terms, page_size=50, position=position, total=False, cursor_at=str)
            done.append(await work(session, query))
    # Fewer ranges are left near the end; what must not be is thousands of rows read and thrown away.
    assert max(done) < 3 * done[0] + 100
