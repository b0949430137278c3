"""Audited rows by the thousand leave one entry, in their unit of work, and want a reason."""

import pytest

from mainspring.data import audit_reason, copy_rows, update_rows, upsert_rows


def _rows(count):
    return [{"number": f"2027-{number}"} for number in range(count)]


async def test_are_refused_without_a_reason(database, books, entries):
    with pytest.raises(TypeError, match=r"Invoice is audited.*audit_reason"):
        async with database.write() as session:
            await copy_rows(session, books.Invoice, _rows(3))
    assert await entries() == []


async def test_leave_one_entry_that_says_how_many_and_why(database, books, entries, trail):
    async with database.write() as session:
        with audit_reason("moved from the old system"):
            await copy_rows(session, books.Invoice, _rows(3))
            await update_rows(
                session, books.Invoice, [{"number": "2027-1", "note": "secret"}], key=["number"], missing="refuse"
            )
            await upsert_rows(session, books.Invoice, _rows(2), on=["number"])

    found = await entries()
    assert [(entry.action, entry.entity_type, entry.after["rows"]) for entry in found] == [
        ("bulk", "books_invoice", 3),
        ("bulk", "books_invoice", 1),
        ("bulk", "books_invoice", 2),
    ]
    assert {entry.after["reason"] for entry in found} == {"moved from the old system"}
    assert found[1].after["statement"] == "update number, note"
    assert not (await trail.verify()).discrepancies


async def test_leave_nothing_when_the_unit_of_work_fails(database, books, entries):
    with pytest.raises(RuntimeError, match="after all"):
        async with database.write() as session:
            with audit_reason("a try"):
                await copy_rows(session, books.Invoice, _rows(3))
            raise RuntimeError("after all")
    assert await entries() == []


async def test_of_models_that_are_not_audited_want_no_reason(database, books, entries):
    async with database.write() as session:
        assert await copy_rows(session, books.Draft, [{"text": "x"}]) == 1
    assert await entries() == []
