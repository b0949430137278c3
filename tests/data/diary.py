"""Diaries of several tenants: notes and their lines, in a metadata of their own."""

from uuid import UUID

from sqlalchemy import ForeignKey, MetaData, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from mainspring.data import Base, Identified, Listing, SoftDeleted, TenantScoped, Versioned, relationship


class DiaryBase(Base):
    __abstract__ = True
    metadata = MetaData(naming_convention=Base.metadata.naming_convention)


class Person(Identified, DiaryBase):
    """Of no tenant."""

    __tablename__ = "diary_person"

    name: Mapped[str]


class Note(Identified, TenantScoped, Versioned, SoftDeleted, DiaryBase):
    __tablename__ = "diary_note"
    __table_args__ = (UniqueConstraint("tenant_id", "slug"),)

    slug: Mapped[str]
    text: Mapped[str] = mapped_column(default="")
    lines: Mapped[list["Line"]] = relationship(back_populates="note")


class Line(Identified, TenantScoped, DiaryBase):
    __tablename__ = "diary_line"

    note_id: Mapped[UUID] = mapped_column(ForeignKey(Note.id))
    text: Mapped[str] = mapped_column(default="")
    note: Mapped[Note] = relationship(back_populates="lines")


NOTES = Listing(Note, sorts=[Note.slug], default="slug", search=[Note.text], page_size=2)
