"""Statements that go past the objects: upserts are taken apart, the others refused or recorded as a whole."""

import asyncio
from decimal import Decimal

import pytest
from sqlalchemy import delete, insert, select, update

from mainspring.data import AuditTrail, Store, audited_in_bulk
from mainspring.errors import AlreadyExists


async def _upsert(database, books, **values):
    async with database.write() as session:
        return await Store(books.Invoice, session).upsert({"number": "2026-1"} | values, on=["number"])


class TestUpserts:
    async def test_one_that_makes_a_row_is_a_creation_and_one_that_changes_it_a_change(
        self, database, books, trail, entries
    ):
        first = await _upsert(database, books, total=Decimal("1.00"), note="x")
        again = await _upsert(database, books, total=Decimal("2.50"), note="x")

        created, changed = await entries()
        assert first.id == again.id
        assert (created.action, created.entity_id, created.after["note"]) == ("create", str(first.id), "x")
        assert (changed.action, changed.before, changed.after) == ("update", {"total": "1.00"}, {"total": "2.50"})
        assert (await trail.verify()).intact

    async def test_one_that_changes_nothing_leaves_no_entry(self, database, books, entries):
        for _ in range(2):
            await _upsert(database, books, note="x")

        assert [entry.action for entry in await entries()] == ["create"]

    async def test_one_that_is_refused_leaves_none(self, database, books, entries):
        async with database.write() as session:
            await Store(books.Invoice, session, only={"note": "theirs"}).add(books.Invoice(number="2026-1"))
        with pytest.raises(AlreadyExists):
            async with database.write() as session:
                store = Store(books.Invoice, session, only={"note": "ours"})
                await store.upsert({"number": "2026-1", "total": Decimal(9)}, on=["number"])

        assert [entry.after["note"] for entry in await entries()] == ["theirs"]

    async def test_many_at_the_same_moment_leave_one_chain(self, fresh_database, books, trail, entries):
        await asyncio.gather(*(_upsert(fresh_database, books, note=f"{number}") for number in range(8)))

        assert [entry.action for entry in await entries()] == ["create", *["update"] * 7]
        assert (await trail.verify()).intact


class TestBulk:
    @pytest.mark.parametrize("statement", ["update", "delete", "insert", "core"])
    async def test_a_statement_over_audited_rows_is_refused_and_says_what_to_do(
        self, database, books, trail, statement
    ):
        made = {
            "update": lambda: update(books.Invoice).values(note="x"),
            "delete": lambda: delete(books.Invoice),
            "insert": lambda: insert(books.Invoice).values(number="1"),
            "core": books.Invoice.__table__.delete,
        }[statement]()
        async with database.write() as session:
            with pytest.raises(TypeError, match=r"Invoice is audited.*audited_in_bulk"):
                await session.execute(made)

    async def test_one_with_a_reason_is_recorded_as_a_whole_without_its_parameters(
        self, database, books, trail, entries
    ):
        async with database.write() as session:
            session.add_all([books.Invoice(number=f"{number}") for number in range(3)])
            await session.flush()
            options = audited_in_bulk("prices of 2027")
            await session.execute(
                update(books.Invoice).where(books.Invoice.number != "0").values(note="confident"),
                execution_options=options,
            )

        entry = (await entries())[-1]
        assert (entry.action, entry.entity_type) == ("bulk", "books_invoice")
        assert (entry.after["rows"], entry.after["reason"]) == (2, "prices of 2027")
        assert "UPDATE books_invoice SET" in entry.after["statement"]
        assert "confident" not in entry.after["statement"]
        assert (await trail.verify()).intact

    @pytest.mark.databases("sqlite")
    def test_an_empty_reason_is_none(self):
        with pytest.raises(ValueError, match="wants the reason"):
            audited_in_bulk(" ")

    async def test_other_models_are_left_alone(self, database, books, trail, entries):
        async with database.write() as session:
            await session.execute(insert(books.Draft), [{"text": "a"}, {"text": "b"}])
            await session.execute(update(books.Draft).values(text="c"))
            assert len((await session.scalars(select(books.Draft))).all()) == 2

        assert await entries() == []


class TestModelsOfOthers:
    async def test_are_audited_where_the_trail_names_them_and_nowhere_else(self, fresh_database, books, entries):
        async def write() -> None:
            async with fresh_database.write() as session:
                await Store(books.Draft, session).add(books.Draft(text="x"))

        await write()
        assert await entries() == []
        await AuditTrail.on(fresh_database, "x" * 32, models=[books.Draft])
        await write()
        assert [entry.entity_type for entry in await entries()] == ["books_draft"]


async def test_an_insert_that_gives_objects_back_is_a_statement_too(database, books, entries):
    statement = insert(books.Invoice).values(number="2027-1").returning(books.Invoice)
    with pytest.raises(TypeError, match="Invoice is audited"):
        async with database.write() as session:
            await session.scalars(select(books.Invoice).from_statement(statement))
    assert await entries() == []
