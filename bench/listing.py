"""Every page of a list of a million rows, while another process inserts and deletes: what it shows, and what it costs.

`python -m bench listing [--quick]`. Through HTTP in process, on PostgreSQL and SQLite, in the orders a list usually has;
numbered pages beside it. The list is walked once in each order: rounds are pages.
"""

import asyncio
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count, islice
from statistics import median
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from httpx2 import ASGITransport, AsyncClient
from pydantic import BaseModel, ConfigDict
from sqlalchemy import Index, MetaData, delete, text
from sqlalchemy.orm import Mapped, mapped_column

from bench.harness import ROOT, machine, publish
from bench.servers import postgresql, sqlite
from mainspring.app import create_app
from mainspring.data import (
    Base,
    CursorQuery,
    CursorSlice,
    Database,
    Listing,
    NumberedSlice,
    PageQuery,
    ReadSession,
    Store,
    copy_rows,
    create_tables,
)
from mainspring.http import CursorPage, Page
from mainspring.kernel import Module
from mainspring.settings import Settings
from mainspring.testing import running

PAGE = 100
TIMED = 200
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
COLUMNS = (
    "order",
    "pages",
    "gone",
    "come",
    "stayed, not shown",
    "shown twice",
    f"first {TIMED}, p50",
    f"last {TIMED}, p50",
    "last / first",
    "numbered: first 5, p50",
    "last 5, p50",
    "last / first",
)
SORTS = {"-made_at": "many rows a second", "rank": "a fifth of them empty", "grade,-rank": "both ways, few grades"}


class Post(Base):
    __tablename__ = "post"
    __table_args__ = (
        Index("ix_post_made_at", "made_at", "id"),
        Index("ix_post_rank", "rank", "id"),
        Index("ix_post_grade", "grade", text("rank DESC"), text("id DESC")),
    )
    metadata = MetaData()

    id: Mapped[int] = mapped_column(primary_key=True)
    made_at: Mapped[datetime]
    grade: Mapped[int]
    rank: Mapped[int | None]


class PostOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: int
    made_at: datetime
    grade: int
    rank: int | None


POSTS = Listing(Post, sorts=[Post.made_at, Post.rank, Post.grade], default="-made_at", page_size=PAGE)


def post(number: int, chance: random.Random, rows: int) -> tuple[Any, ...]:
    # New ones land all over the list, not at its end.
    at = BEGAN + timedelta(seconds=(number if number < rows else chance.randrange(rows)) // 10)
    return number, at, chance.randrange(9), chance.randrange(5_000) if chance.random() < 0.8 else None


def build(url: str) -> Any:
    router = APIRouter()

    @router.get("/posts", response_model=CursorPage[PostOut])
    async def posts(
        query: Annotated[CursorQuery[Post], Depends(POSTS.by_cursor)], session: ReadSession
    ) -> CursorSlice[Post]:
        return await Store(Post, session).page(query)

    @router.get("/numbered", response_model=Page[PostOut])
    async def numbered(
        query: Annotated[PageQuery[Post], Depends(POSTS.by_page)], session: ReadSession
    ) -> NumberedSlice[Post]:
        return await Store(Post, session).page(query)

    settings = Settings(api_prefix="", database_url=url, log_level="WARNING")
    return create_app("bench", settings=settings, modules=[Module(name="bench", routers=(router,))])


def main(*, rounds: int, quick: bool) -> None:
    del rounds
    rows = 20_000 if quick else 1_000_000
    # SQLite keeps what is empty at the start of an index and not at its end, so behind a first column it sorts all rows that
    # have the same value there: half a second a page.
    first = dict(list(SORTS.items())[:2])
    tables = [asyncio.run(on(server, rows, sorts)) for server, sorts in ((postgresql, SORTS), (sqlite, first))]
    what = (
        f"{rows:,} rows in pages of {PAGE}, ms per request in process; another process inserts and deletes meanwhile."
    )
    report = "\n".join(["### Lists", machine(), "", what, "", *tables])
    print(report) if quick else publish("listing", report)


async def on(server: Callable[[], Any], rows: int, sorts: dict[str, str]) -> str:
    lines = []
    async with server() as url:
        await filled(url, rows)
        app = build(url)
        async with (
            running(app) as served,
            AsyncClient(transport=ASGITransport(served), base_url="http://127.0.0.1") as client,
        ):
            for place, (sort, says) in enumerate(sorts.items()):
                lines.append(await walked(client, url, sort, says, rows=rows, turn=place))
                print(f"  {lines[-1]}", file=sys.stderr)
    head = [
        f"#### {url.partition(':')[0]}",
        "",
        f"| {' | '.join(COLUMNS)} |",
        "|---|" + "--:|" * (len(COLUMNS) - 1),
    ]
    return "\n".join([*head, *lines, ""])


async def filled(url: str, rows: int) -> None:
    await create_tables(url, Post.metadata)
    database, chance = Database.connect(url), random.Random(1)
    async with database.write() as session:
        names = [column.key for column in Post.__table__.columns]
        await copy_rows(session, Post, (post(number, chance, rows) for number in range(rows)), columns=names)
    async with database.write() as session:
        await session.execute(text("ANALYZE"))
    await database.close()


async def walked(client: AsyncClient, url: str, sort: str, says: str, *, rows: int, turn: int) -> str:
    seen: Counter[int] = Counter()
    took: list[float] = []
    with disturbing(url, rows, turn) as changed:
        cursor, begun = None, True
        while cursor or begun:
            began = time.perf_counter()
            answer = await client.get("/posts", params={"sort": sort} | ({"cursor": cursor} if cursor else {}))
            took.append(time.perf_counter() - began)
            page = answer.raise_for_status().json()
            seen.update(item["id"] for item in page["items"])
            cursor, begun = page["next_cursor"], False
    gone, come = changed()
    # Even ids below `rows` are never touched.
    hidden = sum(1 for number in range(0, rows, 2) if number not in seen)
    twice = sum(1 for times in seen.values() if times > 1)
    few = min(TIMED, len(took) // 3)
    first, last = median(took[:few]) * 1000, median(took[-few:]) * 1000
    near = await numbered_pages(client, sort, range(1, 6))
    far = await numbered_pages(client, sort, range(len(took) - 6, len(took) - 1))
    return (
        f"| `{sort}`, {says} | {len(took):,} | {gone:,} | {come:,} | {hidden} | {twice} | {first:.2f} | {last:.2f} "
        f"| {last / first:.2f} | {near:.2f} | {far:.2f} | {far / near:.1f} |"
    )


async def numbered_pages(client: AsyncClient, sort: str, numbers: range) -> float:
    took = []
    for number in numbers:
        began = time.perf_counter()
        (await client.get("/numbered", params={"sort": sort, "page": number})).raise_for_status()
        took.append(time.perf_counter() - began)
    return median(took) * 1000


@contextmanager
def disturbing(url: str, rows: int, turn: int) -> Iterator[Callable[[], tuple[int, int]]]:
    command = [sys.executable, "-m", "bench.listing", url, str(rows), str(turn)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    said: list[str] = []
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout
        assert other.stdout.readline().strip() == "ready"
        try:
            yield lambda: (int(said[0]), int(said[1]))
        finally:
            said += other.communicate("stop\n")[0].split()


async def disturb(url: str, rows: int, turn: int) -> None:
    """Delete rows with odd ids, each turn others, and insert as many new ones, until told to stop."""
    chance, database = random.Random(turn), Database.connect(url)
    leaving = iter(chance.sample(range(1 + 2 * turn, rows, 2 * len(SORTS)), rows // 2 // len(SORTS) - 1))
    coming = count(rows * (turn + 2))
    told = asyncio.create_task(asyncio.to_thread(sys.stdin.readline))
    gone = come = 0
    print("ready", flush=True)
    while not told.done() and (some := list(islice(leaving, 20))):
        async with database.write() as session:
            await session.execute(delete(Post).where(Post.id.in_(some)))
            new = [post(number, chance, rows) for number in islice(coming, 20)]
            come += await copy_rows(session, Post, new, columns=["id", "made_at", "grade", "rank"])
        gone += len(some)
        await asyncio.sleep(0.02)
    await told
    await database.close()
    print(gone, come)


if __name__ == "__main__":
    asyncio.run(disturb(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
