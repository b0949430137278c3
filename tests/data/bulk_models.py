"""A warehouse: parts with a column of every kind, and the bins they lie in."""

import enum
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import (
    JSON,
    CheckConstraint,
    Enum,
    ForeignKey,
    Index,
    LargeBinary,
    MetaData,
    Numeric,
    String,
    TypeDecorator,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from mainspring.data import Base, BulkChange, Identified, SoftDeleted, Timestamped, Versioned, relationship

_ALIVE = text("deleted_at IS NULL")


class WarehouseBase(Base):
    __abstract__ = True
    metadata = MetaData(naming_convention=Base.metadata.naming_convention)


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Sealed(TypeDecorator[str]):
    """Stored turned round, and for nobody else's eyes."""

    impl = String
    cache_ok = True
    confidential = True

    def process_bind_param(self, value: str | None, dialect: Any) -> str | None:
        return None if value is None else value.upper()[::-1]

    def process_result_value(self, value: str | None, dialect: Any) -> str | None:
        return None if value is None else value[::-1]


class Bin(Identified, WarehouseBase):
    __tablename__ = "warehouse_bin"

    name: Mapped[str] = mapped_column(unique=True)
    parts: Mapped[list["Part"]] = relationship(back_populates="bin")


class Part(Identified, Timestamped, SoftDeleted, Versioned, WarehouseBase):
    __tablename__ = "warehouse_part"
    __table_args__ = (
        CheckConstraint("amount >= 0", name="amount_positive"),
        Index("uq_warehouse_part_code", "owner", "code", unique=True, postgresql_where=_ALIVE, sqlite_where=_ALIVE),
    )

    code: Mapped[str] = mapped_column(String(40))
    owner: Mapped[str] = mapped_column(default="ada")
    amount: Mapped[int] = mapped_column(default=1)
    price: Mapped[Decimal | None] = mapped_column(Numeric(20, 6))
    weight: Mapped[float | None]
    bought_at: Mapped[datetime | None]
    made_on: Mapped[date | None]
    colour: Mapped[Colour | None] = mapped_column(Enum(Colour))
    about: Mapped[dict[str, Any] | None] = mapped_column(JSON().with_variant(JSONB(), "postgresql"))
    notes: Mapped[Any | None] = mapped_column(JSON)
    photo: Mapped[bytes | None] = mapped_column(LargeBinary)
    # The name in the database is another one than the attribute's.
    pin: Mapped[str | None] = mapped_column("secret_pin", Sealed)
    is_sold: Mapped[bool] = mapped_column(server_default=text("false"))
    bin_id: Mapped[UUID | None] = mapped_column(ForeignKey(Bin.id))
    bin: Mapped[Bin | None] = relationship(back_populates="parts")


class Ticket(WarehouseBase):
    """Its key comes from the database."""

    __tablename__ = "warehouse_ticket"
    __table_args__ = (UniqueConstraint("row", "seat"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    row: Mapped[int | None]
    seat: Mapped[int | None]
    holder: Mapped[str] = mapped_column(String(10), default="nobody")


class Animal(WarehouseBase):
    __tablename__ = "warehouse_animal"
    __mapper_args__: ClassVar = {"polymorphic_on": "kind", "polymorphic_identity": "animal"}

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    name: Mapped[str]


class Cat(Animal):
    __mapper_args__: ClassVar = {"polymorphic_identity": "cat"}


class Stamped(WarehouseBase):
    __tablename__ = "warehouse_stamped"

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(default=func.now())


class Entry(Identified, WarehouseBase):
    __tablename__ = "warehouse_entry"

    what: Mapped[str]


@asynccontextmanager
async def noted(session: Any, change: BulkChange) -> AsyncIterator[None]:
    if change.only.get("name") == "forbidden":
        raise PermissionError("not in bulk")
    yield
    session.add(Entry(what=f"{change.kind} {change.rows} {change.model.__name__} {', '.join(change.columns)}"))


class Noted:
    __bulk_guard__ = staticmethod(noted)


class Ledger(Noted, Identified, WarehouseBase):
    __tablename__ = "warehouse_ledger"

    name: Mapped[str] = mapped_column(default="")
    number: Mapped[int] = mapped_column(unique=True)


def full_part(number: int) -> dict[str, Any]:
    """A part with a value in every column."""
    return {
        "code": f"Größe {number} \U0001f527 \\N\t\n'\"",
        "price": Decimal(f"{number}.100001"),
        "weight": 0.1 + number,
        "bought_at": datetime(2026, 1, 1, 12, 0, 0, 123456, tzinfo=UTC),
        "made_on": date(2026, 2, number % 28 + 1),
        "colour": Colour.BLUE,
        "about": {"size": number, "of": ["Zürich", None, 1.5]},
        "notes": [number, {"é": True}],
        "photo": bytes([number % 256, 0, 255]),
        "pin": "SESAM",
    }
