"""A small library as a service: authors, books, copies. Its tables stand in a metadata of their own."""

from collections.abc import Awaitable, Callable, Iterator
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import CheckConstraint, ForeignKey, MetaData, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.orm import Mapped, mapped_column

from mainspring.data import Base, Identified, Timestamped, relationship
from mainspring.data import database_url as data_url
from mainspring.testing import Schema
from tests.data.revisions import Stock


class LibraryBase(Base):
    __abstract__ = True
    metadata = MetaData(naming_convention=Base.metadata.naming_convention)


class Author(Identified, Timestamped, LibraryBase):
    __tablename__ = "library_author"

    name: Mapped[str] = mapped_column(unique=True)
    born_at: Mapped[datetime | None]


class Book(Identified, LibraryBase):
    __tablename__ = "library_book"
    __table_args__ = (CheckConstraint("pages > 0", name="pages_positive"),)

    title: Mapped[str]
    pages: Mapped[int] = mapped_column(default=100)
    # Checked at the commit, when the handler has long returned.
    author_id: Mapped[UUID] = mapped_column(ForeignKey(Author.id, deferrable=True, initially="DEFERRED"))
    author: Mapped[Author] = relationship()


class Copy(Identified, LibraryBase):
    __tablename__ = "library_copy"

    book_id: Mapped[UUID] = mapped_column(ForeignKey(Book.id))


@pytest.fixture
def library() -> Any:
    return SimpleNamespace(Author=Author, Book=Book, Copy=Copy, metadata=LibraryBase.metadata)


@pytest.fixture
def database_schema() -> Schema:
    return Schema(tables=LibraryBase.metadata)


@pytest.fixture
def empty(tmp_path, monkeypatch) -> Iterator[Stock]:
    """No revision yet."""
    monkeypatch.syspath_prepend(tmp_path)
    stock = Stock(tmp_path)
    yield stock
    stock.forget()


@pytest.fixture(scope="session")
def wiped() -> Callable[[str], Awaitable[str]]:
    """`await wiped(url)`: the database, empty again. Dropping one costs the server a checkpoint, so they are kept."""

    async def wipe(url: str) -> str:
        if url.startswith("sqlite"):
            for suffix in ("", "-wal", "-shm"):
                Path(f"{url.removeprefix('sqlite:///')}{suffix}").unlink(missing_ok=True)  # noqa: ASYNC240 -- a moment, in a test
            return url
        engine = create_async_engine(data_url(url))
        async with engine.begin() as connection:
            names = await connection.execute(
                text("SELECT nspname FROM pg_namespace WHERE nspname !~ '^(pg_|information_schema$)'")
            )
            for (name,) in names.all():
                await connection.execute(text(f'DROP SCHEMA "{name}" CASCADE'))
            await connection.execute(text("CREATE SCHEMA public"))
        await engine.dispose()
        return url

    return wipe


@pytest.fixture
async def url(database_url, wiped) -> str:
    """An empty database."""
    return await wiped(database_url)
