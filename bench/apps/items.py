"""What the benches of reading read: a table of ten thousand items, and how they are answered."""

import os
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from pydantic import BaseModel, ConfigDict
from sqlalchemy import MetaData, Numeric
from sqlalchemy.orm import Mapped, mapped_column

from mainspring.data import Base, Identified, Timestamped

URL = os.environ.get("BENCH_DATABASE_URL", "postgresql://postgres@127.0.0.1:5432/mainspring_bench")
KNOWN = UUID(int=7)
COUNT = 10_000


class ItemBase(Base):
    __abstract__ = True
    metadata = MetaData(naming_convention=Base.metadata.naming_convention)


class Item(Identified, Timestamped, ItemBase):
    __tablename__ = "bench_item"

    name: Mapped[str]
    description: Mapped[str]
    price: Mapped[Decimal] = mapped_column(Numeric(10, 2))
    quantity: Mapped[int]
    is_active: Mapped[bool] = mapped_column(default=True)


class ItemOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    name: str
    description: str
    price: Decimal
    quantity: int
    is_active: bool
    created_at: datetime


class ItemIn(BaseModel):
    name: str
    description: str
    price: Decimal
    quantity: int
