"""What an entry of the audit trail costs a unit of work, in process: the same model with and without it."""

import asyncio
import os
import tempfile
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter

from sqlalchemy.orm import Mapped, mapped_column

from mainspring.data import Audited, AuditTrail, Base, Database, Identified, Store, Timestamped, create_tables


class Plain(Identified, Timestamped, Base):
    __tablename__ = "bench_plain"

    name: Mapped[str]
    price: Mapped[int] = mapped_column(default=1)


class Watched(Audited, Identified, Timestamped, Base):
    __tablename__ = "bench_watched"

    name: Mapped[str]
    price: Mapped[int] = mapped_column(default=1)


async def _add(database, model, keys) -> None:
    async with database.write() as session:
        await Store(model, session).add_many([model(name="x") for _ in keys])


async def _change(database, model, keys) -> None:
    async with database.write() as session:
        for row in await Store(model, session).get_many(keys):
            row.price += 1


async def _milliseconds(work, times: int) -> float:
    taken = []
    for _ in range(times):
        began = perf_counter()
        await work()
        taken.append((perf_counter() - began) * 1000)
    return median(taken)


async def _measure(label: str, url: str, times: int) -> None:
    await create_tables(url)
    database = Database.connect(url)
    trail = await AuditTrail.on(database, "x" * 40)
    keys = {}
    for model in (Plain, Watched):
        async with database.write() as session:
            made = await Store(model, session).add_many([model(name="x") for _ in range(50)])
            keys[model] = [row.id for row in made]
    for rows in (1, 50):
        for what, work in (("add", _add), ("change", _change)):
            plain, audited = [
                await _milliseconds(partial(work, database, model, keys[model][:rows]), times)
                for model in (Plain, Watched)
            ]
            print(
                f"{label:12} {what:8} {rows:3} rows   {plain:7.2f} ms   {audited:7.2f} ms   {audited - plain:+6.2f} ms"
            )
    began = perf_counter()
    await trail.seal()
    report = await trail.verify()
    took = perf_counter() - began
    print(f"{label:12} seal and verify {report.entries} entries: {took:.2f} s, {report.entries / took:,.0f}/s")
    assert report.intact
    await database.close()


def main(*, rounds: int, seconds: int) -> None:
    """SQLite in a folder of its own; PostgreSQL where `BENCH_DATABASE_URL` names an empty database."""
    times = 20 * rounds
    print("\nThe audit trail: a unit of work without and with it (median)\n")
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_measure("SQLite", f"sqlite:///{Path(folder) / 'bench.db'}", times))
    url = os.environ.get("BENCH_DATABASE_URL")
    if url:
        asyncio.run(_measure("PostgreSQL", url, times))
