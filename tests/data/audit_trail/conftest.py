"""A little bookkeeping whose invoices are audited."""

from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import JSON, MetaData, Numeric, select, text
from sqlalchemy.orm import Mapped, mapped_column

from mainspring.data import Audited, AuditEntry, AuditTrail, Base, Identified, SoftDeleted, Timestamped, Versioned
from mainspring.data._confidential import CONFIDENTIAL
from mainspring.testing import Schema

SECRET = "the secret key of these tests, long enough to be one"


class BooksBase(Base):
    __abstract__ = True
    metadata = MetaData(naming_convention=Base.metadata.naming_convention)


for _table in ("audit_entries", "audit_seals"):
    Base.metadata.tables[_table].to_metadata(BooksBase.metadata)


class Invoice(Audited, Identified, Timestamped, SoftDeleted, Versioned, BooksBase):
    __tablename__ = "books_invoice"
    __audit_exclude__ = ("search_text",)

    number: Mapped[str] = mapped_column(unique=True)
    total: Mapped[Decimal] = mapped_column(Numeric(12, 2), default=Decimal("1.00"))
    note: Mapped[str | None]
    search_text: Mapped[str | None]
    iban: Mapped[str | None] = mapped_column(info={CONFIDENTIAL: True})
    api_key: Mapped[str | None]
    extra: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    seal: Mapped[bytes | None]


class InvoiceLine(Audited, BooksBase):
    __tablename__ = "books_line"

    invoice: Mapped[str] = mapped_column(primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str]


class Draft(Identified, BooksBase):
    __tablename__ = "books_draft"

    text: Mapped[str]


@pytest.fixture
def books() -> Any:
    return SimpleNamespace(Base=BooksBase, Invoice=Invoice, Line=InvoiceLine, Draft=Draft)


@pytest.fixture
def database_schema() -> Schema:
    return Schema(tables=BooksBase.metadata)


@pytest.fixture
async def trail(database, frozen_clock) -> AuditTrail:
    return await AuditTrail.on(database, SECRET, clock=frozen_clock)


@pytest.fixture
def entries(database, trail):
    """`await entries()`: all of them, in the order in which they were written."""

    async def read() -> list[AuditEntry]:
        async with database.read() as session:
            return list(await session.scalars(select(AuditEntry).order_by(AuditEntry.id)))

    return read


@pytest.fixture
def tamper(database):
    """`await tamper(sql)`: as somebody does who has the database alone."""

    async def execute(sql: str, **values: Any) -> None:
        async with database.write() as session:
            await session.execute(text(sql), values)

    return execute
