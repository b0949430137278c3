"""What reading costs: an ORM session in a dependency, as people write it, and the store, with the whole chassis around."""

import asyncio
from decimal import Decimal
from pathlib import Path

import asyncpg
from sqlalchemy import func, insert, select

from bench.apps.items import COUNT, KNOWN, URL, Item, ItemBase
from bench.harness import Case, measure, publish, table
from mainspring.data import Database, create_tables, database_url
from mainspring.kernel import new_id

USUAL, STORE = "bench.apps.reads_usual:build", "bench.apps.reads_store:build"


def main(*, rounds: int, seconds: int) -> None:
    asyncio.run(prepare())
    add = Path(__file__).with_name("add_item.lua")
    cases = [
        Case("the usual way", USUAL, "/items", script=add),
        Case("the usual way, all stages around it", STORE, "/plain", script=add, ready="/items"),
        Case("store, all stages around it", STORE, "/items", script=add),
    ]
    samples = measure(cases, rounds=rounds, seconds=seconds)
    publish("reads_add", table("Adding one row", cases, samples, base=cases[0].name))
    for name, title, path, projected in (
        ("get", "Reading one row", f"/items/{KNOWN}", f"/projected/{KNOWN}"),
        ("list", "Reading twenty rows", "/items?limit=20", "/projected?limit=20"),
    ):
        cases = [
            Case("the usual way", USUAL, path),
            Case("store", STORE, path),
            Case("store, projected", STORE, projected),
        ]
        samples = measure(cases, rounds=rounds, seconds=seconds)
        publish(f"reads_{name}", table(title, cases, samples, base=cases[0].name))


async def prepare() -> None:
    """The database, its table and its rows, made once."""
    url = database_url(URL)
    server = await asyncpg.connect(url.set(drivername="postgresql", database="postgres").render_as_string(False))
    if not await server.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", url.database):
        await server.execute(f'CREATE DATABASE "{url.database}"')
    await server.close()
    await create_tables(URL, ItemBase.metadata)
    database = Database.connect(URL)
    async with database.write() as session:
        if await session.scalar(select(func.count()).select_from(Item)) == 0:
            await session.execute(insert(Item), [row(number) for number in range(COUNT)])
    await database.close()


def row(number: int) -> dict[str, object]:
    return {
        "id": KNOWN if number == 0 else new_id(),
        "name": f"item {number}",
        "description": "what there is to say about it, in a line or so" * 2,
        "price": Decimal(number) / 100,
        "quantity": number % 50,
    }
