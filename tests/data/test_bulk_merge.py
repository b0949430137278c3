"""update_rows and upsert_rows: each row with values of its own, few at once or many."""

from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import event, func, select, text, update
from sqlalchemy.orm import selectinload

from mainspring.data import copy_rows, including_deleted, update_rows, upsert_rows
from mainspring.errors import AlreadyExists, ConcurrentUpdate, ConstraintViolated, NotFound, ValidationFailed
from mainspring.kernel import new_id
from mainspring.testing import Schema
from tests.data.bulk_models import Bin, Entry, Ledger, Part, Ticket, WarehouseBase, full_part

# One number on either side of what goes to PostgreSQL as arrays.
SIZES = pytest.mark.parametrize("size", [300, 10_001])


@pytest.fixture
def database_schema() -> Schema:
    return Schema(tables=WarehouseBase.metadata)


@pytest.fixture
async def parts(database) -> list[UUID]:
    """Ids of five of Ada's parts, whose codes are their numbers."""
    ids = [new_id() for _ in range(5)]
    async with database.write() as session:
        await copy_rows(session, Part, [{"id": key, "code": str(number)} for number, key in enumerate(ids)])
    return ids


async def stored(database: Any, model: Any = Part) -> list[Any]:
    async with database.read() as session:
        ordered = select(model).order_by(model.code if model is Part else model.id)
        return list(await session.scalars(ordered, execution_options=including_deleted()))


async def statements(session: Any) -> list[str]:
    """All that the session's connection is told from now on."""
    said: list[str] = []
    connection = (await session.connection()).sync_connection
    event.listen(connection, "before_cursor_execute", lambda *given: said.append(given[2]), named=False)
    return said


class TestUpdates:
    @SIZES
    async def test_set_for_each_row_what_it_brings(self, database, size):
        async with database.write() as session:
            rows = [{"id": number + 1, "row": 1, "seat": number} for number in range(size)]
            await copy_rows(session, Ticket, rows)
            told: list[int] = []
            changes = ({"id": number + 1, "holder": str(-number)} for number in range(size - 1))
            assert await update_rows(session, Ticket, changes, progress=told.append) == size - 1
        tickets = await stored(database, Ticket)
        assert [(t.seat, t.holder) for t in tickets[:-1]] == [(n, str(-n)) for n in range(size - 1)]
        assert tickets[-1].holder == "nobody"
        assert told[-1] == size - 1

    async def test_carry_every_type(self, database, parts):
        async with database.write() as session:
            await update_rows(session, Part, [{"id": parts[0], **full_part(3)}])
            session.add(Part(**full_part(3), owner="bob"))
        changed, added = (part for part in await stored(database) if part.code.startswith("G"))
        assert {n: getattr(changed, n) for n in full_part(3)} == {n: getattr(added, n) for n in full_part(3)}

    async def test_take_values_back_to_nothing(self, database, parts):
        async with database.write() as session:
            await update_rows(session, Part, [{"id": parts[0], **full_part(3)}])
            await update_rows(session, Part, [(parts[0], *[None] * 8)], columns=["id", *list(full_part(3))[1:9]])
        part = (await stored(database))[-1]
        assert (part.price, part.about, part.photo, part.pin) == (None, None, None, "SESAM")

    async def test_raise_the_version_and_the_moment_of_the_change(self, fresh_database):
        async with fresh_database.write() as session:
            await copy_rows(session, Part, [{"code": "a"}])
        before = (await stored(fresh_database))[0]
        async with fresh_database.write() as session:
            await update_rows(session, Part, [{"id": before.id, "amount": 7}])
        after = (await stored(fresh_database))[0]
        assert (after.amount, after.version, after.created_at) == (7, 2, before.created_at)
        assert after.updated_at > before.updated_at
        with pytest.raises(ConcurrentUpdate):
            async with fresh_database.write() as session:
                stale = await session.merge(before, load=False)
                stale.amount = 8

    @SIZES
    async def test_name_rows_that_are_missing_and_change_nothing(self, database, parts, size):
        rows = [{"id": new_id(), "amount": 2} for _ in range(size)] + [{"id": parts[0], "amount": 2}]
        async with database.write() as session:
            with pytest.raises(NotFound, match=f"no part for {size:,} of the rows, the first of them row 1") as refused:
                await update_rows(session, Part, rows)
            assert await update_rows(session, Part, [rows[-1]], missing="skip") == 1
            assert await update_rows(session, Part, rows[:2], missing="skip") == 0
        assert [error.loc for error in refused.value.errors] == [("rows", number) for number in range(10)]
        assert [part.version for part in await stored(database)] == [2, 1, 1, 1, 1]

    async def test_leave_out_what_is_deleted_or_somebody_elses(self, database, parts):
        async with database.write() as session:
            await session.execute(update(Part).where(Part.code == "1").values(deleted_at=func.now()))
            await session.execute(update(Part).where(Part.code == "2").values(owner="bob"))
            rows = [{"id": key, "amount": 9} for key in parts]
            assert await update_rows(session, Part, rows, only={"owner": "ada"}, missing="skip") == 3
        assert [part.amount for part in await stored(database)] == [9, 1, 1, 9, 9]

    async def test_find_rows_by_any_key(self, database, parts):
        async with database.write() as session:
            rows = [("ada", "3", Decimal("1.5"))]
            assert (
                await update_rows(session, Part, rows, key=["owner", "code"], columns=["owner", "code", "price"]) == 1
            )
        assert [part.price for part in await stored(database)] == [None, None, None, Decimal("1.500000"), None]

    @SIZES
    async def test_refuse_two_rows_with_one_key(self, database, parts, size):
        rows = [{"id": new_id(), "amount": 1} for _ in range(size)]
        async with database.write() as session:
            with pytest.raises(ValidationFailed, match=f"Rows 1 and {size + 1} have the same id"):
                await update_rows(session, Part, [*rows, rows[0]])

    async def test_say_which_rule_is_broken(self, database, parts):
        async with database.write() as session:
            with pytest.raises(ConstraintViolated):
                await update_rows(session, Part, [{"id": parts[0], "amount": -1}])
            with pytest.raises(AlreadyExists):
                await update_rows(session, Part, [{"id": parts[0], "code": "4"}])
            assert await session.scalar(select(func.count()).where(Part.version == 1)) == 5

    @pytest.mark.databases("postgresql")
    async def test_refuse_a_text_that_is_too_long_instead_of_cutting_it(self, database, parts):
        async with database.write() as session:
            with pytest.raises(ValidationFailed, match="too long"):
                await update_rows(session, Part, [{"id": parts[0], "code": "x" * 41}])

    async def test_reach_the_objects_that_the_session_holds(self, database, parts):
        async with database.write() as session:
            session.add(Bin(id=parts[0], name="bin"))
            held = await session.get(Part, parts[0], options=[selectinload(Part.bin)])
            held.pin = "abc"
            other = await session.get(Part, parts[1])
            await update_rows(session, Part, [{"id": parts[0], "amount": 5}])
            assert (held.amount, held.version, held.pin, held.bin) == (5, 3, "ABC", None)
            assert (other.amount, other.version) == (1, 1)
            held.amount += 1
        assert (await stored(database))[0].amount == 6

    @pytest.mark.parametrize(
        ("rows", "options", "says"),
        [
            ([{"amount": 1}], {}, "do not have id"),
            ([{"id": 1}], {}, "nothing to set"),
            ([{"id": 1, "version": 2}], {}, "version counts by itself"),
            ([{"id": 1, "size": 2}], {}, "Part has no size"),
            ([{"id": 1, "amount": 2}], {"only": {"size": 1}}, "Part has no size"),
        ],
    )
    async def test_say_what_cannot_be_updated(self, database, rows, options, says):
        rows = [{**row, "id": new_id()} if "id" in row else row for row in rows]
        async with database.write() as session:
            with pytest.raises(TypeError, match=says):
                await update_rows(session, Part, rows, **options)

    async def test_of_nothing_are_none(self, database):
        async with database.write() as session:
            assert await update_rows(session, Part, []) == await upsert_rows(session, Part, [], on=["id"]) == 0

    @pytest.mark.databases("postgresql")
    @SIZES
    async def test_leave_no_table_behind(self, database, size):
        async with database.write() as session:
            for _ in range(2):
                rows = [{"row": 1, "seat": number, "holder": "x"} for number in range(size)]
                await upsert_rows(session, Ticket, rows, on=["row", "seat"])
            left = await session.scalars(text("SELECT relname FROM pg_class WHERE relname LIKE 'bulk%'"))
            assert left.all() == []


class TestUpserts:
    @SIZES
    async def test_insert_what_is_new_and_change_what_is_there(self, database, size):
        async with database.write() as session:
            await copy_rows(session, Ticket, [{"row": 1, "seat": n, "holder": "old"} for n in range(0, size, 2)])
            rows = [{"row": 1, "seat": number, "holder": f"n{number}"} for number in range(size)]
            assert await upsert_rows(session, Ticket, rows, on=["row", "seat"]) == size
        async with database.read() as session:
            found = await session.execute(select(Ticket.seat, Ticket.holder).order_by(Ticket.seat))
            assert [tuple(row) for row in found] == [(number, f"n{number}") for number in range(size)]

    async def test_give_defaults_to_new_rows_only(self, database, parts):
        alive = Part.deleted_at.is_(None)
        rows = [{"owner": "ada", "code": "0", "price": 2}, {"owner": "ada", "code": "new", "price": 3}]
        async with database.write() as session:
            await session.execute(update(Part).where(Part.code == "0").values(amount=6))
            held = await session.get(Part, parts[0])
            assert await upsert_rows(session, Part, rows, on=["owner", "code"], where=alive) == 2
            assert (held.price, held.amount) == (2, 6)
        old, *_, new = await stored(database)
        assert (old.id, old.amount, old.version, old.price) == (parts[0], 6, 2, 2)
        assert (new.amount, new.version, new.price) == (1, 1, 3)

    async def test_do_not_revive_what_is_deleted(self, database, parts):
        async with database.write() as session:
            await session.execute(update(Part).values(deleted_at=func.now()))
            rows = [{"owner": "ada", "code": "0", "amount": 2}]
            await upsert_rows(session, Part, rows, on=["owner", "code"], where=Part.deleted_at.is_(None))
        async with database.read() as session:
            assert [part.amount for part in await session.scalars(select(Part))] == [2]

    async def test_leave_alone_what_is_somebody_elses(self, database):
        async with database.write() as session:
            await copy_rows(session, Ticket, [{"row": 1, "seat": 1, "holder": "bob"}])
            with pytest.raises(AlreadyExists):
                rows = [{"row": 1, "seat": seat, "id": seat + 5} for seat in range(3)]
                await upsert_rows(session, Ticket, rows, on=["row", "seat"], only={"holder": "ada"})
            assert await upsert_rows(session, Ticket, rows, on=["row", "seat"], only={"holder": "bob"}) == 3

    @SIZES
    async def test_refuse_duplicates_or_take_the_last(self, database, size):
        rows = [{"row": 1, "seat": number % (size - 1), "holder": str(number)} for number in range(size)]
        async with database.write() as session:
            with pytest.raises(ValidationFailed, match=f"Rows 1 and {size} have the same row, seat") as refused:
                await upsert_rows(session, Ticket, rows, on=["row", "seat"])
            assert await session.scalar(select(func.count()).select_from(Ticket)) == 0
            assert await upsert_rows(session, Ticket, rows, on=["row", "seat"], duplicates="last") == size - 1
            assert await session.scalar(select(Ticket.holder).where(Ticket.seat == 0)) == str(size - 1)
        assert refused.value.errors[0].loc == ("rows", size - 1)

    async def test_take_nothing_for_different_from_nothing(self, database):
        rows = [{"row": None, "seat": 1}, {"row": None, "seat": 1}]
        async with database.write() as session:
            assert await upsert_rows(session, Ticket, rows, on=["row", "seat"]) == 2
            assert await upsert_rows(session, Ticket, rows, on=["row", "seat"], duplicates="last") == 2
        assert len(await stored(database, Ticket)) == 4

    async def test_of_nothing_but_the_key_count_what_is_there(self, database):
        async with database.write() as session:
            await copy_rows(session, Bin, [{"name": "a"}])
            assert await upsert_rows(session, Bin, [{"name": "a"}, {"name": "b"}], on=["name"]) == 2

    async def test_and_updates_pass_the_guards(self, database):
        async with database.write() as session:
            await upsert_rows(session, Ledger, [{"number": 1}], on=["number"])
            await update_rows(session, Ledger, [{"number": 1, "name": "a"}], key=["number"])
        async with database.read() as session:
            notes = await session.scalars(select(Entry.what).order_by(Entry.id))
            assert notes.all() == ["upsert 1 Ledger number", "update 1 Ledger number, name"]

    @pytest.mark.databases("postgresql")
    @pytest.mark.parametrize(("size", "words"), [(10_000, "unnest"), (10_001, "CREATE TEMP TABLE")])
    async def test_and_updates_go_as_arrays_while_they_are_few(self, database, size, words):
        async with database.write() as session:
            said = await statements(session)
            await upsert_rows(session, Ticket, ({"row": 1, "seat": n} for n in range(size)), on=["row", "seat"])
        assert any(words in statement for statement in said)

    @pytest.mark.databases("postgresql")
    async def test_look_up_the_types_of_a_table_once_for_each_connection_or_when_it_has_changed(self, fresh_database):
        async with fresh_database.write() as session:
            await copy_rows(session, Ticket, [{"id": 1, "row": 1, "seat": 1}])
            await session.execute(text("ALTER TABLE warehouse_ticket DROP COLUMN holder"))
            said = await statements(session)
            for seat in (2, 3):
                await update_rows(session, Ticket, [{"id": 1, "seat": seat}])
            assert sum("pg_attribute" in statement for statement in said) == 1
            await session.execute(text("ALTER TABLE warehouse_ticket ADD COLUMN holder text"))
            assert await update_rows(session, Ticket, [{"id": 1, "holder": "ada"}]) == 1
            assert await session.scalar(select(Ticket.holder)) == "ada"
