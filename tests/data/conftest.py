"""A small library as a service: authors, books, copies. Its tables stand in a metadata of their own."""

from datetime import datetime
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import CheckConstraint, ForeignKey, MetaData
from sqlalchemy.orm import Mapped, mapped_column

from mainspring.data import Base, Identified, Timestamped, relationship
from mainspring.testing import Schema


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
