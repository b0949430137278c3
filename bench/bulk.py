"""How many rows a second go in and change, by ours and by the other ways, and how much memory it takes.

`python -m bench bulk [--rounds N] [--quick]`. Needs PostgreSQL at 127.0.0.1 (port 5432 or PGPORT) as postgres, and `psql`.
Every way runs once a round, every other round in the opposite order, on a table that is emptied or filled before.
"""

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from statistics import median

from bench.bulk_ways import Rows, filled, on_postgresql, on_sqlite, rows_of
from bench.harness import ROOT, machine, publish
from bench.servers import postgresql, sqlite

type Ways = dict[str, Callable[[], Awaitable[int]]]

SIZES = (100_000, 1_000_000, 5_000_000)
FLAT = 1.1


def main(*, rounds: int, quick: bool) -> None:
    many, some = (20_000, 5_000) if quick else (1_000_000, 100_000)
    rows = rows_of(many)
    tables = [
        asyncio.run(compare(postgresql(), on_postgresql, rows=rows, some=some, rounds=rounds)),
        asyncio.run(compare(sqlite(), on_sqlite, rows=rows[: max(some, many // 5)], some=some, rounds=rounds)),
        memory([size // 50 for size in SIZES] if quick else SIZES),
    ]
    report = "\n".join(["### Bulk", machine(), "", f"{rounds} interleaved rounds, medians.", "", *tables])
    print(report) if quick else publish("bulk", report)


async def compare(
    server: AbstractAsyncContextManager[str],
    ways_of: Callable[..., AbstractAsyncContextManager],
    *,
    rows: Rows,
    some: int,
    rounds: int,
) -> str:
    step = max(1, len(rows) // some)
    tables = []
    async with server as url, ways_of(url, rows) as (inserts, updates_of):
        kind = url.partition(":")[0]
        tables.append(
            await table(f"{kind}: insert {len(rows):,} rows of 6 columns", inserts, rounds, lambda: filled(url, []))
        )
        for count in (some, 1_000):
            changes = [(key, f"new {number}", -number) for key, _, number, *_ in rows[::step][:count]]
            title = f"{kind}: update {len(changes):,} of {len(rows):,}"
            tables.append(await table(title, updates_of(changes), rounds, lambda: filled(url, rows)))
    return "\n".join(tables)


async def table(title: str, ways: Ways, rounds: int, prepare: Callable[[], Awaitable[None]]) -> str:
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds):
        for name in ways if number % 2 == 0 else reversed(ways):
            await prepare()
            began = time.perf_counter()
            stored = await ways[name]()
            rates[name].append(stored / (time.perf_counter() - began))
            print(f"  {title}, round {number + 1}/{rounds}, {name}: {rates[name][-1]:,.0f} rows/s", file=sys.stderr)
    ours = median(next(iter(rates.values())))
    lines = [f"| {name} | {median(one):,.0f} | {ours / median(one):.2f} |" for name, one in rates.items()]
    return "\n".join([f"#### {title}", "", "| way | rows/s | ours / this |", "|---|--:|--:|", *lines, ""])


def memory(sizes: list[int]) -> str:
    """The most memory that a process takes which copies so many rows out of a generator."""
    peaks = [float(run_apart("bench.bulk_memory", str(size))) for size in sizes]
    lines = [f"| {size:,} | {peak:.1f} |" for size, peak in zip(sizes, peaks, strict=True)]
    flat = "yes" if max(peaks) <= peaks[0] * FLAT else "NO"
    head = ["#### Most resident memory of a process that copies", "", "| rows | MiB |", "|--:|--:|"]
    return "\n".join([*head, *lines, "", f"Flat within {FLAT - 1:.0%}: {flat}.", ""])


def run_apart(module: str, *arguments: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", module, *arguments]
        environment = os.environ | {"PYTHONPATH": str(ROOT), "ENVIRONMENT": "test"}
        return subprocess.run(
            command, cwd=folder, env=environment, check=True, stdout=subprocess.PIPE, text=True
        ).stdout
