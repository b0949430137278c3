"""Refusals of the database, by the name of the constraint where it gives one."""

from typing import Any, ClassVar
from uuid import UUID

import pytest
from sqlalchemy import CheckConstraint, ForeignKey, Index, MetaData, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from mainspring.data import RAISES, Base, Identified
from mainspring.errors import AlreadyExists, Conflict, ConstraintViolated
from mainspring.kernel import new_id
from mainspring.testing import Schema


class EmailTaken(AlreadyExists):
    code: ClassVar[str] = "EMAIL_TAKEN"


class TooYoung(Conflict):
    code: ClassVar[str] = "TOO_YOUNG"


class ClubBase(Base):
    __abstract__ = True
    metadata = MetaData(naming_convention=Base.metadata.naming_convention)


class Member(Identified, ClubBase):
    __tablename__ = "club_member"
    __table_args__ = (
        UniqueConstraint("email", info={RAISES: EmailTaken}),
        UniqueConstraint("sponsor_id", "nick"),
        UniqueConstraint("card"),
        # By convention its name has more than PostgreSQL's 63 bytes.
        UniqueConstraint("a_name_that_is_rather_long_for_a_column", "another_name_that_is_no_shorter_than_it"),
        Index("ix_lower", "handle", unique=True),
        CheckConstraint("age >= 18", name="grown_up", info={RAISES: TooYoung}),
        CheckConstraint("age < 150", name="alive"),
    )

    email: Mapped[str | None]
    nick: Mapped[str | None]
    handle: Mapped[str | None]
    card: Mapped[str | None] = mapped_column(info={"confidential": True})
    age: Mapped[int] = mapped_column(default=30)
    sponsor_id: Mapped[UUID | None] = mapped_column(ForeignKey("club_member.id"))
    name: Mapped[str]
    token: Mapped[str] = mapped_column(info={"confidential": True})
    a_name_that_is_rather_long_for_a_column: Mapped[str | None]
    another_name_that_is_no_shorter_than_it: Mapped[str | None]


def member(**values: Any) -> Member:
    return Member(**{"name": "ada", "token": "secret"} | values)


@pytest.fixture
def database_schema() -> Schema:
    return Schema(tables=ClubBase.metadata)


async def refused(database, *members):
    with pytest.raises(Conflict) as caught:
        async with database.write() as session:
            for member in members:
                session.add(member)
                await session.flush()
    return caught.value


@pytest.fixture
def named(database) -> bool:
    """Whether the database says which constraint it was."""
    return database.dialect == "postgresql"


async def test_a_constraint_may_name_its_own_error(database, named):
    error = await refused(database, member(email="a@b.c"), member(email="a@b.c"))
    assert type(error) is (EmailTaken if named else AlreadyExists)
    error = await refused(database, member(age=3))
    assert type(error) is (TooYoung if named else ConstraintViolated)


@pytest.mark.parametrize(
    ("values", "columns"),
    [
        ({"handle": "x"}, ["handle"]),
        # Whose row it is, is not for the client; what is confidential neither.
        ({"nick": "x", "sponsor_id": "own"}, ["nick"]),
        ({"card": "x"}, []),
        (
            {"a_name_that_is_rather_long_for_a_column": "x", "another_name_that_is_no_shorter_than_it": "y"},
            ["a_name_that_is_rather_long_for_a_column", "another_name_that_is_no_shorter_than_it"],
        ),
    ],
)
async def test_a_taken_value_is_told_by_the_columns_that_clients_know(database, named, values, columns):
    sponsor = member(id=new_id())
    if "sponsor_id" in values:
        values |= {"sponsor_id": sponsor.id}
    error = await refused(database, sponsor, member(**values), member(**values))
    assert isinstance(error, AlreadyExists)
    assert [detail.loc for detail in error.errors] == [(name,) for name in columns if named]
    assert error.message == (
        f"Something with this {' and '.join(columns)} already exists."
        if named and columns
        else "Something with these values already exists."
    )


async def test_a_check_a_reference_and_a_missing_value_are_told_apart_from_a_taken_one(database, named):
    for wrong, columns in (
        (member(age=200), []),
        (member(sponsor_id=new_id()), []),
        (member(name=None), ["name"]),
        (member(token=None), []),
    ):
        error = await refused(database, wrong)
        assert type(error) is ConstraintViolated
        assert [detail.loc for detail in error.errors] == [(name,) for name in columns if named]
