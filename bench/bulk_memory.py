"""`python -m bench.bulk_memory ROWS`: copy so many rows out of an asynchronous generator, and print the most MiB it took."""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from bench.bulk_ways import Item, Row, row
from bench.servers import postgresql
from mainspring.data import Database, copy_rows, create_tables


async def generated(count: int) -> AsyncIterator[Row]:
    for number in range(count):
        yield row(number)


async def copy(count: int) -> None:
    async with postgresql() as url:
        await create_tables(url, Item.metadata)
        database = Database.connect(url)
        async with database.write() as session:
            names = [column.key for column in Item.__table__.columns]
            assert await copy_rows(session, Item, generated(count), columns=names) == count
        await database.close()


if __name__ == "__main__":
    asyncio.run(copy(int(sys.argv[1])))
    # Not `ru_maxrss`, which a process inherits from the one that started it.
    (peak,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    print(int(peak.split()[1]) / 1024)
