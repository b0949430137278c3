"""What is recorded: by whom, when, of what, in the transaction of the change."""

from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import pytest
from sqlalchemy import ForeignKey, event
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from mainspring.data import Actor, Audited, AuditTrail, Identified, Store, acting_as, audit_reason
from mainspring.data._audit_trail._audited import watch
from mainspring.observability import LogContext, use_context

ANN = Actor("user", "ann")


async def _invoice(database, books, **values):
    async with database.write() as session:
        return await Store(books.Invoice, session).add(books.Invoice(**{"number": "2026-1"} | values))


async def _change(database, books, invoice, **values):
    async with database.write() as session:
        store = Store(books.Invoice, session).including_deleted()
        return await store.update(await store.get(invoice.id), values)


@pytest.mark.databases("postgresql")
async def test_a_transaction_whose_snapshot_may_be_older_than_a_seal_is_refused(fresh_database, trail, books, entries):
    with pytest.raises(TypeError, match="stricter than READ COMMITTED"):
        async with fresh_database.write(isolation="SERIALIZABLE") as session:
            await Store(books.Invoice, session).add(books.Invoice(number="2026-1"))
    assert await entries() == []


class TestWhatIsRecorded:
    async def test_a_new_row_with_what_it_has(self, database, books, entries):
        with acting_as(ANN), use_context(LogContext("request-17", "f" * 32)):
            invoice = await _invoice(database, books, total=Decimal("12.50"))

        (entry,) = await entries()
        assert (entry.action, entry.entity_type, entry.entity_id) == ("create", "books_invoice", str(invoice.id))
        assert (entry.actor_kind, entry.actor_id) == ("user", "ann")
        assert (entry.request_id, entry.trace_id) == ("request-17", "f" * 32)
        assert entry.occurred_at == datetime(2026, 7, 1, 12, tzinfo=UTC)
        assert entry.before is None
        assert entry.after.keys() == {"id", "number", "total", "created_at"}
        assert (entry.after["number"], entry.after["total"]) == ("2026-1", "12.50")

    async def test_a_change_with_the_changed_values_only(self, database, books, entries):
        invoice = await _invoice(database, books)
        await _change(database, books, invoice, note="paid", number="2026-1")

        _, change = await entries()
        assert (change.action, change.before, change.after) == ("update", {"note": None}, {"note": "paid"})
        assert (change.sequence, change.previous) == (2, (await entries())[0].digest)

    async def test_a_deletion_that_marks_and_one_that_removes_are_told_apart(self, database, books, entries):
        invoice = await _invoice(database, books)
        async with database.write() as session:
            store = Store(books.Invoice, session)
            await store.delete(await store.get(invoice.id))
        async with database.write() as session:
            store = Store(books.Invoice, session).including_deleted()
            await store.restore(await store.get(invoice.id))
            await store.purge(await store.get(invoice.id))

        found = await entries()
        assert [entry.action for entry in found] == ["create", "soft_delete", "restore", "delete"]
        assert [entry.sequence for entry in found] == [1, 2, 3, 4]
        assert found[1].after.keys() == {"deleted_at"}
        assert (found[3].before["number"], found[3].after) == ("2026-1", None)

    async def test_a_key_of_several_columns_names_the_row_as_a_list(self, database, books, entries):
        async with database.write() as session:
            session.add(books.Line(invoice="2026-1", position=2, text="paper"))

        assert [entry.entity_id for entry in await entries()] == ['["2026-1","2"]']

    async def test_nobody_named_is_the_system_and_no_request_is_none(self, database, books, entries):
        await _invoice(database, books)

        (entry,) = await entries()
        assert (entry.actor_kind, entry.actor_id, entry.request_id, entry.reason) == ("system", "", None, None)

    async def test_the_reason_that_was_given(self, database, books, entries):
        with audit_reason("asked for in ticket 812"):
            await _invoice(database, books)

        assert [entry.reason for entry in await entries()] == ["asked for in ticket 812"]

    async def test_the_history_of_one_row_newest_first(self, database, books, trail):
        invoice = await _invoice(database, books)
        await _invoice(database, books, number="2026-2")
        await _change(database, books, invoice, note="paid")

        async with database.read() as session:
            assert [entry.action for entry in await trail.history_of(session, invoice)] == ["update", "create"]


class TestWhatIsNot:
    async def test_a_unit_of_work_that_fails_leaves_no_entry(self, database, books, entries):
        with pytest.raises(ZeroDivisionError):
            async with database.write() as session:
                await Store(books.Invoice, session).add(books.Invoice(number="2026-1"))
                raise ZeroDivisionError

        assert await entries() == []

    async def test_a_savepoint_that_is_undone_leaves_none_and_the_chain_goes_on(self, database, books, trail, entries):
        async with database.write() as session:
            store = Store(books.Invoice, session)
            invoice = await store.add(books.Invoice(number="2026-1"))
            with pytest.raises(ZeroDivisionError):
                async with session.begin_nested():
                    await store.update(invoice, {"note": "undone"})
                    raise ZeroDivisionError
            await session.refresh(invoice)
            await store.update(invoice, {"note": "stays"})

        assert [(entry.sequence, entry.after.get("note")) for entry in await entries()] == [(1, None), (2, "stays")]
        assert (await trail.verify()).intact

    async def test_a_flush_that_fails_leaves_nothing_for_the_next(self, database, books, entries):
        async with database.write() as session:
            with pytest.raises(Exception, match="already exists"):
                async with session.begin_nested():
                    session.add_all([books.Invoice(number="same"), books.Invoice(number="same")])
                    await session.flush()
            session.add(books.Invoice(number="another"))

        assert [entry.after["number"] for entry in await entries()] == ["another"]

    async def test_other_models_and_attributes_that_are_excluded(self, database, books, entries):
        invoice = await _invoice(database, books)
        await _change(database, books, invoice, search_text="paper")
        async with database.write() as session:
            session.add(books.Draft(text="x"))
            session.add(await session.get(books.Invoice, invoice.id))

        assert [entry.action for entry in await entries()] == ["create"]

    def test_a_wrong_name_among_the_excluded_is_refused(self):
        class Other(DeclarativeBase):
            """Not the chassis' own, so that no other test meets a model that cannot be configured."""

        class Wrong(Audited, Identified, Other):
            __tablename__ = "books_wrong"
            __audit_exclude__ = ("serch_text",)

        with pytest.raises(TypeError, match=r"Wrong\.__audit_exclude__ names serch_text, which it does not have"):
            watch(Wrong.__mapper__)
        Other.registry.dispose()

    def test_a_model_over_several_tables_is_refused_because_its_writers_lock_different_rows(self):
        class Other(DeclarativeBase):
            """As above."""

        class Letter(Audited, Identified, Other):
            __tablename__ = "books_letter"

        class Reminder(Letter):
            __tablename__ = "books_reminder"

            id: Mapped[UUID] = mapped_column(ForeignKey(Letter.id), primary_key=True)

        with pytest.raises(TypeError, match="Reminder is stored in 2 tables"):
            watch(Reminder.__mapper__)
        Other.registry.dispose()


class TestWhatIsShown:
    async def test_a_confidential_value_shows_in_no_entry_nor_one_that_is_secret_by_name(
        self, database, books, entries
    ):
        invoice = await _invoice(database, books, iban="DE02 1203", api_key="hunter2")
        await _change(database, books, invoice, iban="DE99 9999", api_key="hunter3")

        created, changed = await entries()
        assert (created.after["iban"], created.after["api_key"]) == ("[redacted]", "[redacted]")
        assert changed.before == changed.after == {"iban": "[redacted]", "api_key": "[redacted]"}

    async def test_secrets_inside_of_values_are_replaced(self, database, books, entries):
        await _invoice(
            database, books, extra={"password": "hunter2", "size": 3}, note="postgresql://ann:hunter2@host/books"
        )

        (entry,) = await entries()
        assert entry.after["extra"] == {"password": "[redacted]", "size": 3}
        assert "hunter2" not in str(entry.after)

    async def test_of_a_large_value_the_beginning_and_a_digest(self, database, books, entries):
        await _invoice(database, books, note="n" * 5_000, extra={"texts": ["x" * 3_000]}, seal=b"\x00\x01")

        (entry,) = await entries()
        assert entry.after["note"]["length"] == 5_000
        assert entry.after["note"]["$beginning"] == "n" * 200
        assert entry.after["extra"]["length"] > 3_000
        assert entry.after["seal"]["$bytes"] == 2
        assert len(str(entry.after)) < 1_500


class TestWhoMayLeaveNoName:
    async def test_a_trail_that_requires_an_actor_refuses_changes_without_one(self, database, books):
        await AuditTrail.on(database, "x" * 32, require_actor=True)

        with pytest.raises(RuntimeError, match="acting_as"):
            await _invoice(database, books)
        with acting_as(ANN):
            await _invoice(database, books)

    async def test_a_database_without_a_trail_refuses_audited_models(self, database_url, books, fresh_database):
        with pytest.raises(RuntimeError, match="Invoice is Audited, and this database has no audit trail"):
            await _invoice(fresh_database, books)


class TestWhatItCosts:
    @pytest.fixture
    def statements(self, fresh_database, trail):
        seen = []
        engine = fresh_database._binds[0].sync_engine

        def note(_, __, statement, *___):
            seen.append(statement.split(None, 2)[0:3:2] and " ".join(statement.split(None, 3)[:3]))

        event.listen(engine, "before_cursor_execute", note)
        yield seen
        event.remove(engine, "before_cursor_execute", note)

    async def test_many_new_rows_are_one_more_statement(self, fresh_database, books, statements):
        async with fresh_database.write() as session:
            session.add_all([books.Invoice(number=f"{number}") for number in range(50)])
            await session.flush()
            assert [one for one in statements if "audit" in one] == ["INSERT INTO audit_entries"]

    async def test_changes_look_for_the_ends_of_their_chains_at_once(self, fresh_database, books, trail, statements):
        async with fresh_database.write() as session:
            session.add_all([books.Invoice(number=f"{number}") for number in range(5)])
        async with fresh_database.write() as session:
            store = Store(books.Invoice, session)
            invoices = await store.list()
            statements.clear()
            for _ in range(2):
                for invoice in invoices:
                    invoice.note = f"{invoice.note}!"
                await session.flush()
            select, *inserts = [one for one in statements if not one.startswith("UPDATE")]
            assert select.startswith("SELECT")
            assert inserts == ["INSERT INTO audit_entries"] * 2
        assert (await trail.verify()).intact
