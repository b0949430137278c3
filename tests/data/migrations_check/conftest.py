"""A module with a history, written by the test and checked without a database or applied to a real one."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import MetaData, text
from sqlalchemy.ext.asyncio import create_async_engine

from mainspring.data import Migrator, database_url
from mainspring.kernel import Migrations, Module, new_id
from mainspring.testing import Schema
from tests.data.revisions import write_revision

EMPTY = Schema(tables=MetaData())
LIBRARY = """
    op.execute("CREATE TYPE mood AS ENUM ('sad', 'glad')")
    op.create_table(
        "author",
        sa.Column("id", sa.BigInteger(), sa.Identity(), primary_key=True),
        sa.Column("name", sa.String(50), nullable=False, unique=True),
        sa.Column("note", sa.Text()),
    )
    op.create_table(
        "book",
        sa.Column("id", sa.BigInteger(), sa.Identity(), primary_key=True),
        sa.Column("author_id", sa.BigInteger()),
        sa.Column("title", sa.String(50), nullable=False),
        sa.Column("isbn", sa.Text()),
        sa.Column("pages", sa.Integer(), server_default="1", nullable=False),
        sa.Column("price", sa.Numeric(10, 2)),
        sa.Column("printed", sa.DateTime()),
        sa.Column("state", postgresql.ENUM("sad", "glad", name="mood", create_type=False)),
    )
    op.create_index("ix_book_title", "book", ["title"])
    op.create_check_constraint("ck_book_price", "book", "price >= 0")
    op.execute("INSERT INTO author (name) SELECT 'author ' || n FROM generate_series(1, 100) AS n")
    op.execute(
        "INSERT INTO book (author_id, title, isbn, price, printed, state)"
        " SELECT n % 100 + 1, 'book ' || n, 'isbn ' || n, n, now(), 'sad' FROM generate_series(1, 3000) AS n"
    )
"""


class Stock:
    """One module with revisions stock_0001, stock_0002 and so on."""

    def __init__(self, folder: Path) -> None:
        self.package = f"stock_{new_id().hex}"
        self.folder = folder / self.package
        self.folder.mkdir()
        (self.folder / "__init__.py").touch()
        self.module = Module(name="stock", migrations=Migrations(package=self.package, models=self.package))

    def revision(self, number: int, upgrade: str, downgrade: str = "raise NotImplementedError", down: int = -1) -> Path:
        return write_revision(self.folder, "stock", number, upgrade, downgrade, down=down)

    def migrator(self, url: str = "sqlite:///unused.db", **options) -> Migrator:
        return Migrator(url, [self.module], **options)

    async def check(self, since: str = "stock_0001", **options):
        return await self.migrator().safety(since=since, **options)

    def forget(self) -> None:
        """Let another test's module of this name be imported."""
        for name in [n for n in sys.modules if n.partition(".")[0] == self.package]:
            del sys.modules[name]


@pytest.fixture
def empty(tmp_path, monkeypatch) -> Iterator[Stock]:
    """No revision yet."""
    monkeypatch.syspath_prepend(tmp_path)
    stock = Stock(tmp_path)
    yield stock
    stock.forget()


@pytest.fixture
def stock(empty) -> Stock:
    """stock_0001 makes authors and books, with rows."""
    empty.revision(1, LIBRARY)
    return empty


@pytest.fixture
def database_schema() -> Schema:
    return EMPTY


@pytest.fixture
async def ask(url):
    """`await ask(sql)`: rows, in autocommit."""
    engine = create_async_engine(database_url(url), isolation_level="AUTOCOMMIT")

    async def asked(sql: str):
        async with engine.connect() as connection:
            result = await connection.execute(text(sql))
            return result.all() if result.returns_rows else []

    yield asked
    await engine.dispose()
