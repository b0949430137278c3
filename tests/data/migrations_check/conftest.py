"""A module with a history, written by the test and checked without a database or applied to a real one."""

import pytest
from sqlalchemy import MetaData, text
from sqlalchemy.ext.asyncio import create_async_engine

from mainspring.data import database_url
from mainspring.testing import Schema
from tests.data.revisions import Stock

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
