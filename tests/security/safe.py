"""Customers whose bank accounts only the service can read, in a metadata of their own."""

from datetime import datetime
from typing import Any

from sqlalchemy import MetaData
from sqlalchemy.orm import Mapped, mapped_column

from mainspring.data import Base, Identified, Timestamped, Versioned
from mainspring.security import BlindIndex, EncryptedBytes, EncryptedJson, EncryptedText, Keyring

OLD, NEW = {"old": b"o" * 32}, {"new": b"n" * 32}
INDEX = b"an index key of some length, for the tests"


def keyring(*keys: dict[str, bytes]) -> Keyring:
    """Of several keys, the current one first."""
    merged: dict[str, bytes] = {}
    for one in keys:
        merged |= one
    return Keyring(merged, index_key=INDEX)


class SafeBase(Base):
    __abstract__ = True
    metadata = MetaData(naming_convention=Base.metadata.naming_convention)


class Customer(Identified, Timestamped, Versioned, SafeBase):
    __tablename__ = "safe_customer"

    name: Mapped[str] = mapped_column(default="")
    born_at: Mapped[datetime | None]
    iban: Mapped[str | None] = mapped_column(EncryptedText("customer.iban"))
    photo: Mapped[bytes | None] = mapped_column(EncryptedBytes("customer.photo"))
    notes: Mapped[Any | None] = mapped_column(EncryptedJson("customer.notes"))
    email: Mapped[str | None] = mapped_column(EncryptedText("customer.email"))
    email_index: Mapped[Any | None] = mapped_column(BlindIndex("customer.email"), index=True)
