"""The ways to insert and update many rows that are compared: ours first, then what people write by hand."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
from sqlalchemy import MetaData, delete, insert, text, update
from sqlalchemy.orm import Mapped, mapped_column

from mainspring.data import Base, Database, copy_rows, create_tables, update_rows, upsert_rows

type Row = tuple[UUID, str, int, float, bool, datetime]
type Rows = Sequence[Row]
type Change = tuple[UUID, str, int]
type Ways = dict[str, Callable[[], Awaitable[int]]]
type Compared = tuple[Ways, Callable[[Sequence[Change]], Ways]]

NAMES = ("id", "name", "number", "weight", "is_active", "at")
CHANGED = ("id", "name", "number")
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
# The slow ways get a part of the rows: their pace does not depend on how many there are.
PART = 5


class Item(Base):
    __tablename__ = "item"
    metadata = MetaData()

    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str]
    number: Mapped[int]
    weight: Mapped[float]
    is_active: Mapped[bool]
    at: Mapped[datetime]


def row(number: int) -> Row:
    at = BEGAN + timedelta(seconds=number)
    # In the order of time, as `new_id` makes them.
    return (
        UUID(int=(0x019A << 112) + (number << 64) + number * 7919 % 2**32),
        f"item {number}",
        number,
        number * 0.5,
        number % 2 == 0,
        at,
    )


def rows_of(count: int) -> Rows:
    return [row(number) for number in range(count)]


def mappings(rows: Sequence[tuple[Any, ...]], names: Sequence[str] = NAMES) -> list[dict[str, Any]]:
    return [dict(zip(names, one, strict=True)) for one in rows]


async def filled(url: str, rows: Rows) -> None:
    """Exactly these rows in the table, and nothing for the database to do behind the back of what is measured."""
    database = Database.connect(url)
    async with database.write() as session:
        await session.execute(text("TRUNCATE item") if database.dialect == "postgresql" else delete(Item))
        await copy_rows(session, Item, rows, columns=NAMES)
    if database.dialect == "postgresql":
        plain = await asyncpg.connect(url)
        await plain.execute("VACUUM ANALYZE item")
        await plain.execute("CHECKPOINT")
        await plain.close()
    await database.close()


def as_text(rows: Rows, folder: Path) -> Path:
    file = folder / "rows.tsv"
    with file.open("w") as lines:
        lines.writelines("\t".join(map(str, one)) + "\n" for one in rows)
    return file


@asynccontextmanager
async def on_postgresql(url: str, rows: Rows) -> AsyncIterator[Compared]:
    await create_tables(url, Item.metadata)
    database, plain = Database.connect(url), await asyncpg.connect(url)
    await database.ping()
    with tempfile.TemporaryDirectory() as folder:
        file = as_text(rows, Path(folder))

        async def by_asyncpg() -> int:
            async with plain.transaction():
                await plain.copy_records_to_table("item", records=rows, columns=NAMES)
            return len(rows)

        async def by_psql() -> int:
            command = rf"\copy item ({', '.join(NAMES)}) from '{file}'"
            process = await asyncio.create_subprocess_exec("psql", "--quiet", "--dbname", url, "--command", command)
            assert await process.wait() == 0
            return len(rows)

        ours = inserts(database, rows)
        theirs = {"asyncpg copy_records_to_table": by_asyncpg, r"psql \copy": by_psql}
        yield (
            {**ours, **theirs, **by_sqlalchemy(database, rows)},
            lambda changes: {
                **updates(database, changes),
                **updates_by_hand(plain, changes),
                **updates_by_sqlalchemy(database, changes),
            },
        )
    await plain.close()
    await database.close()


@asynccontextmanager
async def on_sqlite(url: str, rows: Rows) -> AsyncIterator[Compared]:
    await create_tables(url, Item.metadata)
    database = Database.connect(url)
    await database.ping()
    yield (
        {**inserts(database, rows), **by_sqlalchemy(database, rows)},
        lambda changes: {**updates(database, changes), **updates_by_sqlalchemy(database, changes)},
    )
    await database.close()


def inserts(database: Database, rows: Rows) -> Ways:
    async def tuples() -> int:
        async with database.write() as session:
            return await copy_rows(session, Item, rows, columns=NAMES)

    async def iterator() -> int:
        async def source() -> AsyncIterator[dict[str, Any]]:
            for one in rows:
                yield dict(zip(NAMES, one, strict=True))

        async with database.write() as session:
            return await copy_rows(session, Item, source())

    async def upsert() -> int:
        async with database.write() as session:
            return await upsert_rows(session, Item, rows, columns=NAMES, on=["id"])

    return {
        "mainspring copy_rows": tuples,
        "mainspring copy_rows, mappings of an asynchronous generator": iterator,
        "mainspring upsert_rows": upsert,
    }


def by_sqlalchemy(database: Database, rows: Rows) -> Ways:
    part = rows[: len(rows) // PART]

    async def many_values() -> int:
        async with database.write() as session:
            # It is RETURNING that makes SQLAlchemy put many rows into one statement.
            await session.execute(insert(Item).returning(Item.id), mappings(part))
        return len(part)

    async def many() -> int:
        async with database.write() as session:
            await session.execute(insert(Item), mappings(part))
        return len(part)

    async def objects() -> int:
        async with database.write() as session:
            session.add_all([Item(**one) for one in mappings(part)])
        return len(part)

    return {"SQLAlchemy insertmanyvalues": many_values, "SQLAlchemy executemany": many, "SQLAlchemy add_all": objects}


def updates(database: Database, changes: Sequence[Change]) -> Ways:
    async def ours() -> int:
        async with database.write() as session:
            return await update_rows(session, Item, changes, columns=CHANGED)

    return {"mainspring update_rows": ours}


def updates_by_hand(plain: Any, changes: Sequence[Change]) -> Ways:
    sets = "UPDATE item SET name = new.name, number = new.number FROM"

    async def unnest(step: int) -> int:
        async with plain.transaction():
            for start in range(0, len(changes), step):
                arrays = map(list, zip(*changes[start : start + step], strict=True))
                source = "unnest($1::uuid[], $2::text[], $3::int[]) AS new (id, name, number)"
                await plain.execute(f"{sets} {source} WHERE item.id = new.id", *arrays)
        return len(changes)

    async def temporary() -> int:
        async with plain.transaction():
            await plain.execute(
                "CREATE TEMP TABLE new ON COMMIT DROP AS SELECT id, name, number FROM item WITH NO DATA"
            )
            await plain.copy_records_to_table("new", records=changes, columns=CHANGED)
            await plain.execute(f"{sets} new WHERE item.id = new.id")
        return len(changes)

    async def many() -> int:
        async with plain.transaction():
            await plain.executemany("UPDATE item SET name = $2, number = $3 WHERE id = $1", changes)
        return len(changes)

    return {
        "UNNEST by hand": lambda: unnest(len(changes)),
        "UNNEST by hand, 10,000 at a time": lambda: unnest(10_000),
        "temporary table by hand": temporary,
        "asyncpg executemany": many,
    }


def updates_by_sqlalchemy(database: Database, changes: Sequence[Change]) -> Ways:
    async def many() -> int:
        async with database.write() as session:
            await session.execute(update(Item), mappings(changes, CHANGED))
        return len(changes)

    return {"SQLAlchemy update by primary key": many}
