"""copy_rows: any number of new rows in the caller's unit of work."""

import asyncio
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from pydantic import BaseModel
from sqlalchemy import func, select, text
from sqlalchemy.exc import DBAPIError

from mainspring.data import copy_rows
from mainspring.errors import AlreadyExists, ConstraintViolated, DatabaseUnavailable, ValidationFailed
from mainspring.testing import Schema
from tests.data.bulk_models import Animal, Bin, Cat, Entry, Ledger, Part, Stamped, Ticket, WarehouseBase, full_part

FLAGGED = ("code", "is_sold")
CLOCK = ("created_at", "updated_at")


@pytest.fixture
def database_schema() -> Schema:
    return Schema(tables=WarehouseBase.metadata)


async def count(database: Any, model: Any) -> int:
    async with database.read() as session:
        return await session.scalar(select(func.count()).select_from(model))


async def tickets(database: Any) -> list[tuple[Any, ...]]:
    async with database.read() as session:
        found = await session.execute(select(Ticket.row, Ticket.seat, Ticket.holder).order_by(Ticket.id))
        return [tuple(row) for row in found]


class TestValues:
    async def test_are_stored_as_the_session_would_have_stored_them(self, database):
        async with database.write() as session:
            assert await copy_rows(session, Part, [full_part(1)]) == 1
            session.add(Part(**full_part(1), owner="bob"))
        async with database.read() as session:
            copied, added = (await session.scalars(select(Part).order_by(Part.owner))).all()
            names = [*full_part(1), "amount", "version", "is_sold", "deleted_at"]
            assert {n: getattr(copied, n) for n in names} == {n: getattr(added, n) for n in names}
            raw = await session.execute(text("SELECT * FROM warehouse_part ORDER BY owner"))
            ours, theirs = ({**row} for row in raw.mappings())
        differing = {name for name in ours if ours[name] != theirs[name]}
        assert differing <= {"id", "owner", *CLOCK}

    async def test_defaults_are_the_models_and_then_the_databases(self, database):
        async with database.write() as session:
            await copy_rows(session, Part, [{"code": "a"}, {"code": "b"}])
        async with database.read() as session:
            one, two = (await session.scalars(select(Part).order_by(Part.code))).all()
        assert one.id != two.id
        assert (one.owner, one.amount, one.version, one.is_sold, one.deleted_at) == ("ada", 1, 1, False, None)
        assert one.created_at == two.created_at is not None

    async def test_none_is_null_also_for_columns_with_defaults(self, database):
        async with database.write() as session:
            await copy_rows(session, Ticket, [(None, 1), (2, None)], columns=["row", "seat"])
        assert await tickets(database) == [(None, 1, "nobody"), (2, None, "nobody")]

    async def test_a_class_that_shares_its_table_is_told_apart(self, database):
        async with database.write() as session:
            await copy_rows(session, Cat, [{"name": "Tom"}])
            await copy_rows(session, Animal, [{"name": "Jerry"}])
        async with database.read() as session:
            assert [cat.name for cat in await session.scalars(select(Cat))] == ["Tom"]

    async def test_need_no_care_to_be_stored_as_they_are_and_get_it_where_they_do(self, database):
        utc, zurich = datetime(2026, 1, 1, 12, tzinfo=UTC), datetime(2026, 1, 1, 13, tzinfo=ZoneInfo("Europe/Zurich"))
        async with database.write() as session:
            await copy_rows(session, Stamped, [(1, utc), [2, zurich]], columns=["id", "at"])
            await copy_rows(session, Part, [(str(n), sold) for n, sold in enumerate([True, 0, 1])], columns=FLAGGED)
            with pytest.raises(ValidationFailed, match=r"Row 2, at: .* has no timezone"):
                await copy_rows(session, Stamped, [(3, utc), (4, utc.replace(tzinfo=None))], columns=["id", "at"])
        async with database.read() as session:
            assert (await session.scalars(select(Stamped.at).order_by(Stamped.id))).all() == [utc, utc]
            assert (await session.scalars(select(Part.is_sold).order_by(Part.code))).all() == [True, False, True]

    async def test_all_rows_get_what_is_named_once(self, database):
        async with database.write() as session:
            await copy_rows(session, Part, [{"code": "a"}, {"code": "b"}], only={"owner": "bob", "pin": "sesam"})
        async with database.read() as session:
            assert {(part.owner, part.pin) for part in await session.scalars(select(Part))} == {("bob", "SESAM")}


class Seat(BaseModel):
    row: int
    seat: int


class TestRows:
    @pytest.mark.parametrize(
        ("rows", "columns"),
        [
            ([{"row": 1, "seat": 2}, {"seat": 3, "row": 1}], ()),
            ([{"row": 1, "seat": 2, "x": 0}, {"row": 1, "seat": 3}], ["seat", "row"]),
            ([(2, 1), [3, 1]], ["seat", "row"]),
            ([Seat(row=1, seat=2), Seat(row=1, seat=3)], ()),
            ([SimpleNamespace(row=1, seat=2), SimpleNamespace(row=1, seat=3)], ["row", "seat"]),
        ],
        ids=["mappings", "mappings with more", "tuples", "pydantic", "objects"],
    )
    async def test_come_in_several_forms(self, database, rows, columns):
        async with database.write() as session:
            assert await copy_rows(session, Ticket, rows, columns=columns) == 2
        assert await tickets(database) == [(1, 2, "nobody"), (1, 3, "nobody")]

    @pytest.mark.parametrize("size", [0, 1, 9, 10, 11, 25])
    async def test_come_from_an_asynchronous_iterator_in_batches_with_progress(self, database, size):
        async def rows() -> Any:
            for number in range(size):
                await asyncio.sleep(0)
                yield {"row": 1, "seat": number}

        told: list[int] = []

        async def progress(done: int) -> None:
            await asyncio.sleep(0)
            told.append(done)

        async with database.write() as session:
            assert await copy_rows(session, Ticket, rows(), batch=10, progress=progress) == size
        assert [seat for _, seat, _ in await tickets(database)] == list(range(size))
        assert told == [*range(10, size, 10), *([size] if size else [])]

    async def test_one_column_is_enough(self, database):
        async with database.write() as session:
            await copy_rows(session, Bin, [{"name": "a"}, {"name": "b"}], progress=lambda done: None)
            await copy_rows(session, Bin, [Bin(name="c")], columns=["name"])
        assert await count(database, Bin) == 3


class TestTheUnitOfWork:
    async def test_undoes_the_copy_with_everything_else(self, fresh_database):
        with pytest.raises(ZeroDivisionError):
            async with fresh_database.write() as session:
                # The first thing it does: the driver has begun no transaction yet.
                await copy_rows(session, Ticket, [{"row": 1, "seat": 1}])
                raise ZeroDivisionError
        assert await count(fresh_database, Ticket) == 0

    async def test_nobody_sees_the_rows_before_the_commit(self, fresh_database):
        async with fresh_database.write() as session:
            await copy_rows(session, Ticket, [{"row": 1, "seat": 1}])
            assert await session.scalar(select(func.count()).select_from(Ticket)) == 1
            assert await count(fresh_database, Ticket) == 0
        assert await count(fresh_database, Ticket) == 1

    async def test_stores_what_the_session_holds_first(self, database):
        async with database.write() as session:
            box = Bin(name="a")
            session.add(box)
            await copy_rows(session, Part, [{"code": "a", "bin_id": box.id}])
        assert await count(database, Part) == 1

    async def test_goes_on_after_a_refusal_that_the_caller_has_caught(self, fresh_database):
        async with fresh_database.write() as session:
            session.add(Bin(name="a"))
            for rows in ([{"name": "b"}, {"name": "a"}], [{"name": "c"}, {"name": 7j}]):
                with pytest.raises((AlreadyExists, ValidationFailed, DBAPIError)):
                    await copy_rows(session, Bin, rows)
            await copy_rows(session, Bin, [{"name": "d"}])
        async with fresh_database.read() as session:
            assert (await session.scalars(select(Bin.name).order_by(Bin.name))).all() == ["a", "d"]

    async def test_an_error_of_the_rows_own_source_comes_through_and_nothing_is_stored(self, fresh_database):
        async def rows() -> Any:
            for number in range(50):
                yield {"row": 1, "seat": number}
            raise LookupError("the file has ended early")

        async with fresh_database.write() as session:
            with pytest.raises(LookupError, match="ended early"):
                await copy_rows(session, Ticket, rows(), batch=10)
            assert await session.scalar(select(func.count()).select_from(Ticket)) == 0
        assert await count(fresh_database, Ticket) == 0

    async def test_a_task_that_is_cancelled_leaves_nothing_behind(self, fresh_database):
        reached = asyncio.Event()

        async def rows() -> Any:
            for number in range(5_000):
                yield {"row": 1, "seat": number}
            reached.set()
            await asyncio.Event().wait()

        async def work() -> None:
            async with fresh_database.write() as session:
                await copy_rows(session, Ticket, rows(), batch=1_000)

        task = asyncio.create_task(work())
        await reached.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with fresh_database.write() as session:
            assert await copy_rows(session, Ticket, [{"row": 1, "seat": 1}]) == 1
        assert await count(fresh_database, Ticket) == 1

    @pytest.mark.databases("postgresql")
    async def test_a_lost_connection_is_an_unavailable_database(self, fresh_database):
        async def rows(victim: int) -> Any:
            yield {"row": 1, "seat": 1}
            async with fresh_database.write() as other:
                await other.execute(select(func.pg_terminate_backend(victim)))
            for number in range(100_000):
                yield {"row": 2, "seat": number}

        with pytest.raises(DatabaseUnavailable):
            async with fresh_database.write() as session:
                victim = await session.scalar(select(func.pg_backend_pid()))
                await copy_rows(session, Ticket, rows(victim), batch=1)
        assert await count(fresh_database, Ticket) == 0

    async def test_a_session_that_reads_is_refused(self, database):
        async with database.read() as session:
            with pytest.raises(TypeError, match="A ReadSession cannot store Ticket"):
                await copy_rows(session, Ticket, [{"row": 1}])


class TestRefusals:
    @pytest.mark.parametrize(
        ("rows", "columns", "says"),
        [
            ([{"row": 1}, {"row": 1, "seat": 2}], (), "Row 2: it has seat, which the first row does not have"),
            ([{"row": 1, "seat": 1}, {"row": 1}], (), "Row 2: it does not have all of row, seat"),
            ([{"row": 1}, {"seat": 1}], (), "Row 2: it does not have all of row"),
            ([(1, 1), (1,)], ["row", "seat"], "Row 2: there should be 2 values: row, seat"),
            ([(1, 1), None], ["row", "seat"], "Row 2: there should be 2 values"),
            ([(1, 1), "22"], ["row", "seat"], "Row 2: there should be 2 values"),
            ([(1, 1, 1)], ["row", "seat"], "Row 1: there should be 2 values"),
            ([Seat(row=1, seat=1), 5], (), "Row 2: it does not have all of row, seat"),
        ],
    )
    async def test_name_a_row_of_another_form(self, database, rows, columns, says):
        async with database.write() as session:
            with pytest.raises(ValidationFailed, match=says) as refused:
                await copy_rows(session, Ticket, rows, columns=columns)
        assert refused.value.errors[0].loc[0] == "rows"
        assert await count(database, Ticket) == 0

    async def test_name_row_and_column_of_a_value_that_its_type_refuses(self, database):
        rows = [full_part(number) for number in range(30)]
        rows[21]["bought_at"] = datetime(2026, 1, 1)  # noqa: DTZ001 -- what is to be refused
        async with database.write() as session:
            with pytest.raises(ValidationFailed, match=r"Row 22, bought_at: .* has no timezone") as refused:
                await copy_rows(session, Part, rows, batch=10)
        assert refused.value.errors[0].loc == ("rows", 21, "bought_at")
        assert await count(database, Part) == 0

    async def test_do_not_tell_what_is_confidential(self, database):
        async with database.write() as session:
            with pytest.raises(ValidationFailed) as refused:
                await copy_rows(session, Part, [{"code": "a", "pin": 1234}])
        assert refused.value.message == "Row 1, pin: the value cannot be stored."

    @pytest.mark.databases("postgresql")
    async def test_do_not_tell_a_value_beside_what_is_confidential_either(self, database):
        async with database.write() as session:
            with pytest.raises(ValidationFailed) as refused:
                await copy_rows(session, Part, [{"code": "a", "pin": "x", "bin_id": "not a uuid"}])
        assert refused.value.message == "Row 1: a value is not of its column's type."

    async def test_name_the_row_whose_unique_value_is_taken(self, database):
        rows = [{"name": str(number)} for number in range(3_000)] + [{"name": "17"}, {"name": "18"}]
        async with database.write() as session:
            with pytest.raises(AlreadyExists, match=r"^Row 3001: ") as refused:
                await copy_rows(session, Bin, rows, batch=1_000)
        assert refused.value.errors[0].loc == ("rows", 3_000)
        assert await count(database, Bin) == 0

    async def test_name_the_row_that_breaks_a_rule(self, database):
        rows = [{"code": str(number), "amount": 7 - number} for number in range(10)]
        async with database.write() as session:
            with pytest.raises(ConstraintViolated, match=r"^Row 9: "):
                await copy_rows(session, Part, rows)

    async def test_are_told_of_references_that_do_not_hold(self, database):
        async with database.write() as session:
            with pytest.raises(ConstraintViolated):
                await copy_rows(session, Part, [{"code": "a", "bin_id": Part.id.default.arg(None)}])
                await session.flush()

    @pytest.mark.databases("postgresql")
    @pytest.mark.parametrize("bad", ["seven", 2**40, object()])
    @pytest.mark.parametrize("batch", [1, 2, 3, 1_000])
    async def test_name_the_row_that_the_driver_cannot_encode(self, database, bad, batch):
        async with database.write() as session:
            with pytest.raises(ValidationFailed, match=r"^Row 3: a value is not of its column's type"):
                await copy_rows(session, Ticket, [{"row": 1}, {"row": 2}, {"row": bad}, {"row": 4}], batch=batch)

    @pytest.mark.databases("postgresql")
    async def test_name_the_row_with_a_text_that_is_too_long(self, database):
        async with database.write() as session:
            with pytest.raises(ValidationFailed, match=r"^Row 2: .*too long"):
                await copy_rows(session, Ticket, [{"holder": "x"}, {"holder": "x" * 11}])

    @pytest.mark.parametrize(
        ("model", "rows", "options", "says"),
        [
            (Ticket, [{"row": 1, "aisle": 2}], {}, "Ticket has no aisle"),
            (Ticket, [(1, 2)], {}, "name `columns`"),
            (Ticket, [object()], {}, "name `columns`"),
            (Ticket, [{"row": 1}], {"only": {"row": 2}}, "named twice: row"),
            (Ticket, [(1, 2)], {"columns": ["row", "row"]}, "named twice"),
            (Ticket, [{"row": 1}], {"only": {"aisle": 2}}, "Ticket has no aisle"),
            (Stamped, [{"id": 1}], {}, "made by SQL for each row"),
        ],
    )
    async def test_say_what_cannot_be_written_in_bulk(self, database, model, rows, options, says):
        async with database.write() as session:
            with pytest.raises(TypeError, match=says):
                await copy_rows(session, model, rows, **options)


class TestGuards:
    async def test_take_notice_in_the_same_unit_of_work(self, database):
        async with database.write() as session:
            await copy_rows(session, Ledger, [{"number": 1}, {"number": 2}], only={"name": "a"})
        async with database.read() as session:
            assert (await session.scalars(select(Entry.what))).all() == ["copy 2 Ledger number"]

    async def test_refuse_before_anything_is_written(self, database):
        async with database.write() as session:
            with pytest.raises(PermissionError, match="not in bulk"):
                await copy_rows(session, Ledger, [{"number": 1}], only={"name": "forbidden"})
        assert await count(database, Ledger) == await count(database, Entry) == 0

    async def test_leave_no_note_of_what_was_refused(self, database):
        async with database.write() as session:
            with pytest.raises(AlreadyExists):
                await copy_rows(session, Ledger, [{"number": 1}, {"number": 1}])
        assert await count(database, Entry) == 0


@pytest.mark.databases("postgresql")
async def test_a_table_with_row_level_security_is_filled_all_the_same(fresh_database):
    policy = "CREATE POLICY own ON warehouse_ticket USING (holder = current_setting('bulk.holder'))"
    async with fresh_database.write() as session:
        for statement in (
            "ALTER TABLE warehouse_ticket ENABLE ROW LEVEL SECURITY",
            policy,
            "DROP ROLE IF EXISTS bulk_clerk",
            "CREATE ROLE bulk_clerk",
            "GRANT ALL ON ALL TABLES IN SCHEMA public TO bulk_clerk",
            "GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO bulk_clerk",
        ):
            await session.execute(text(statement))
    try:
        async with fresh_database.write() as session:
            await session.execute(text("SET LOCAL ROLE bulk_clerk"))
            await session.execute(text("SET LOCAL bulk.holder = 'ada'"))
            assert await copy_rows(session, Ticket, [{"row": 1}] * 5, only={"holder": "ada"}) == 5
            with pytest.raises(DBAPIError, match="row-level security"):
                await copy_rows(session, Ticket, [{"row": 1}], only={"holder": "bob"})
        assert await count(fresh_database, Ticket) == 5
    finally:
        async with fresh_database.write() as session:
            await session.execute(text("DROP OWNED BY bulk_clerk"))
            await session.execute(text("DROP ROLE bulk_clerk"))
