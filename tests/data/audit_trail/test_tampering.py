"""Somebody who has the database, and not the secret key: what is found, and when."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from mainspring.data import Actor, AuditTrail, Store, acting_as

SECRET = "the secret key of these tests, long enough to be one"


@pytest.fixture
async def invoices(database, books, trail):
    """Three, each with a chain of three entries; ids by number."""
    found = {}
    for number in ("1", "2", "3"):
        async with database.write() as session:
            found[number] = (await Store(books.Invoice, session).add(books.Invoice(number=number))).id
        for note in ("sent", "paid"):
            await _note(database, books, found[number], note)
    return {number: str(key) for number, key in found.items()}


async def _note(database, books, key, note):
    async with database.write() as session:
        store = Store(books.Invoice, session)
        await store.update(await store.get(UUID(str(key))), {"note": note})


async def _problems(trail, **options):
    return [f"{one.where}: {one.problem}" for one in (await trail.verify(**options)).discrepancies]


class TestAtOnce:
    async def test_a_trail_that_nobody_touched_is_intact(self, trail, invoices):
        report = await trail.verify()

        assert report.intact
        assert (report.entries, report.chains, report.unsealed) == (9, 3, 9)

    @pytest.mark.parametrize(
        ("column", "value"),
        [
            ("id", "'00000000000070008000000000000001'"),
            ("entity_type", "'other'"),
            ("entity_id", "'somebody else'"),
            ("sequence", "9"),
            ("occurred_at", "'2020-01-01 00:00:00+00:00'"),
            ("action", "'create'"),
            ("actor_kind", "'user'"),
            ("actor_id", "'mallory'"),
            ("request_id", "'another'"),
            ("trace_id", "'another'"),
            ("reason", "'they asked me to'"),
            ("before", "NULL"),
            ("after", '\'{"note":"unpaid"}\''),
            ("after", '\'{"note": "sent"}\''),
            ("previous_epoch", "7"),
        ],
    )
    async def test_a_change_of_any_field_is_found(self, trail, tamper, invoices, column, value):
        await tamper(
            f"UPDATE audit_entries SET {column} = {value} WHERE entity_id = :id AND sequence = 2", id=invoices["2"]
        )

        found = await _problems(trail)
        assert any("its content is not what was written" in problem for problem in found)

    @pytest.mark.parametrize("column", ["digest", "previous"])
    async def test_another_digest_is_found(self, trail, tamper, invoices, column):
        await tamper(
            f"UPDATE audit_entries SET {column} = (SELECT digest FROM audit_entries WHERE entity_id = :other"
            " AND sequence = 1) WHERE entity_id = :id AND sequence = 2",
            id=invoices["2"],
            other=invoices["1"],
        )

        assert f"books_invoice {invoices['2']} entry 2: its content is not what was written" in await _problems(trail)

    @pytest.mark.parametrize(
        ("sequence", "says"), [(1, "the 1 before it are missing"), (2, "1 entry is missing before it")]
    )
    async def test_an_entry_that_is_gone_from_the_beginning_or_the_middle_is_missed(
        self, trail, tamper, invoices, sequence, says
    ):
        await tamper("DELETE FROM audit_entries WHERE entity_id = :id AND sequence = :n", id=invoices["1"], n=sequence)

        assert await _problems(trail) == [f"books_invoice {invoices['1']} entry {sequence + 1}: {says}"]

    async def test_one_that_is_gone_shows_also_when_the_others_are_renumbered(self, trail, tamper, invoices):
        await tamper("DELETE FROM audit_entries WHERE entity_id = :id AND sequence = 2", id=invoices["1"])
        await tamper("UPDATE audit_entries SET sequence = 2 WHERE entity_id = :id AND sequence = 3", id=invoices["1"])

        where = f"books_invoice {invoices['1']} entry 2"
        assert await _problems(trail) == [
            f"{where}: its content is not what was written",
            f"{where}: it does not follow the entry before it",
        ]

    async def test_two_that_changed_places_are_found(self, trail, tamper, invoices):
        for before, after in ((2, 9), (3, 2), (9, 3)):
            await tamper(
                "UPDATE audit_entries SET sequence = :after WHERE entity_id = :id AND sequence = :before",
                id=invoices["1"],
                before=before,
                after=after,
            )

        assert len(await _problems(trail)) >= 2

    async def test_one_that_was_added_by_hand_is_found(self, trail, tamper, invoices):
        await tamper(
            "INSERT INTO audit_entries SELECT :new, entity_type, entity_id, 4, occurred_at, action, actor_kind, 'mallory',"
            " request_id, trace_id, reason, before, after, digest, previous_epoch, key_id, digest, epoch"
            " FROM audit_entries WHERE entity_id = :id AND sequence = 3",
            new="00000000-0000-7000-8000-000000000001",
            id=invoices["1"],
        )

        assert f"books_invoice {invoices['1']} entry 4: its content is not what was written" in await _problems(trail)

    async def test_one_that_was_made_with_another_secret_is_found(self, database, books, trail, invoices):
        await AuditTrail.on(database, "what mallory believes to be the secret key")
        await _note(database, books, invoices["1"], "forged")

        assert "is not known; is a former secret key missing?" in "".join(await _problems(trail))


class TestOnceSealed:
    async def test_the_end_of_a_chain_that_is_gone_is_missed(self, trail, tamper, invoices):
        await trail.seal()
        await tamper("DELETE FROM audit_entries WHERE entity_id = :id AND sequence = 3", id=invoices["1"])

        assert await _problems(trail) == ["seal 2: it vouches for 9 entries: 1 are gone"]

    async def test_a_whole_chain_that_is_gone_is_missed(self, trail, tamper, invoices):
        await trail.seal()
        await tamper("DELETE FROM audit_entries WHERE entity_id = :id", id=invoices["1"])

        assert await _problems(trail) == ["seal 2: it vouches for 9 entries: 3 are gone"]

    async def test_an_entry_that_is_moved_out_of_what_its_seal_vouches_for_is_missed(self, trail, tamper, invoices):
        await trail.seal()
        await tamper("UPDATE audit_entries SET epoch = 2 WHERE entity_id = :id AND sequence = 3", id=invoices["1"])

        assert await _problems(trail) == ["seal 2: it vouches for 9 entries: 1 are gone"]

    async def test_and_one_that_is_moved_beyond_every_seal(self, trail, tamper, invoices):
        await tamper("UPDATE audit_entries SET epoch = 99 WHERE entity_id = :id AND sequence = 3", id=invoices["1"])

        assert await _problems(trail) == ["entries: 1 of them are of an epoch that has not begun"]

    @pytest.mark.parametrize("column", ["sealed_at", "entries", "purged_through", "content"])
    async def test_a_changed_seal_is_found(self, trail, tamper, invoices, column):
        await trail.seal()
        value = {"sealed_at": "'2020-01-01 00:00:00+00:00'", "content": "digest"}.get(column, "8")
        await tamper(f"UPDATE audit_seals SET {column} = {value} WHERE number = 2")

        assert "seal 2: its content is not what was written" in await _problems(trail)

    async def test_a_seal_that_is_gone_is_missed(self, trail, tamper, invoices):
        await trail.seal()
        await tamper("DELETE FROM audit_seals WHERE number = 1")

        assert await _problems(trail) == ["seal 2: seal 1 is missing before it"]

    async def test_a_trail_that_was_turned_back_shows_against_an_anchor_alone(self, trail, tamper, invoices):
        await trail.seal()
        anchor = (await trail.verify()).anchor
        await tamper("DELETE FROM audit_entries")
        await tamper("DELETE FROM audit_seals")

        assert await _problems(trail) == []
        assert await _problems(trail, anchor=anchor) == [
            "seal 2: it is gone, and what was written since: the trail was turned back"
        ]

    async def test_an_anchor_that_fits_is_no_problem_later_on(self, database, books, trail, invoices):
        await trail.seal()
        anchor = (await trail.verify()).anchor
        await _note(database, books, invoices["1"], "more")
        await trail.seal()

        assert await _problems(trail, anchor=anchor) == []
        assert await _problems(trail, anchor=f"2:{'0' * 64}") == ["seal 2: it is another one than the anchor says"]

    async def test_what_is_not_sealed_is_counted(self, database, books, trail, invoices):
        await trail.seal()
        assert (await trail.verify()).unsealed == 0
        await _note(database, books, invoices["1"], "more")
        assert (await trail.verify()).unsealed == 1
        newest = await trail.seal()
        assert (await trail.seal()).number == newest.number


class TestManyAtOnce:
    async def test_chains_stay_whole_while_writers_run_in_parallel_and_some_fail(self, fresh_database, books, trail):
        async with fresh_database.write() as session:
            rows = await Store(books.Invoice, session).add_many([books.Invoice(number=f"{n}") for n in range(3)])
        keys = [row.id for row in rows]

        async def write(number: int) -> None:
            try:
                async with fresh_database.write() as session:
                    store = Store(books.Invoice, session)
                    # Locked first: a Versioned row would otherwise refuse most of them.
                    invoice = await session.get(books.Invoice, keys[number % 3], with_for_update=True)
                    await store.update(invoice, {"note": f"{number}"})
                    await asyncio.sleep(0)
                    if number % 4 == 0:
                        raise ZeroDivisionError
            except ZeroDivisionError:
                pass

        async def seal() -> None:
            for _ in range(3):
                await trail.seal()

        await asyncio.gather(seal(), *(write(number) for number in range(40)))
        await trail.seal()

        report = await trail.verify()
        assert (report.discrepancies, report.entries, report.chains, report.unsealed) == ([], 3 + 30, 3, 0)

    @pytest.mark.databases("postgresql")
    async def test_a_seal_waits_for_a_transaction_that_may_still_write_into_its_epoch(
        self, fresh_database, books, trail
    ):
        async with fresh_database.write() as session:
            await Store(books.Invoice, session).add(books.Invoice(number="early"))
        async with fresh_database.write() as session:
            await Store(books.Invoice, session).add(books.Invoice(number="late"))
            sealing = asyncio.create_task(trail.seal())
            await asyncio.sleep(0.2)
            assert not sealing.done()
        await sealing
        await trail.seal()

        report = await trail.verify()
        assert (report.intact, report.entries, report.unsealed) == (True, 2, 0)

    @pytest.mark.databases("postgresql")
    async def test_a_seal_that_was_overtaken_by_another_gives_way(self, fresh_database, books, trail):
        async with fresh_database.write() as session:
            await Store(books.Invoice, session).add(books.Invoice(number="early"))
        async with fresh_database.write() as session:
            await Store(books.Invoice, session).add(books.Invoice(number="late"))
            sealings = [asyncio.create_task(trail._sealer.seal()) for _ in range(2)]
            await asyncio.sleep(0.1)
        outcomes = await asyncio.gather(*sealings, return_exceptions=True)
        assert sorted(type(outcome).__name__ for outcome in outcomes) == ["AuditSeal", "ConcurrentUpdate"]
        await trail.seal()
        report = await trail.verify()
        assert (report.intact, report.entries, report.unsealed) == (True, 2, 0)


class TestSecrets:
    async def test_what_a_former_secret_has_digested_is_believed_and_the_chain_goes_on(
        self, database, books, trail, invoices
    ):
        await trail.seal()
        rotated = await AuditTrail.on(database, "a new secret key, as long as the one before", former=[SECRET])
        await _note(database, books, invoices["1"], "after the rotation")
        await rotated.seal()

        assert (await rotated.verify()).intact
        forgetful = await AuditTrail.on(database, "a new secret key, as long as the one before")
        assert not (await forgetful.verify()).intact


class TestLaterParts:
    async def test_since_looks_at_what_was_written_since_alone(
        self, database, books, trail, tamper, invoices, frozen_clock
    ):
        await trail.seal()
        frozen_clock.advance(timedelta(days=1))
        await _note(database, books, invoices["1"], "later")
        await trail.seal()
        await tamper("UPDATE audit_entries SET actor_id = 'mallory' WHERE sequence = 1")

        report = await trail.verify(since=datetime(2026, 7, 2, tzinfo=UTC))
        assert (report.intact, report.entries, report.seals) == (True, 1, 2)
        assert len(await _problems(trail)) == 3
        await tamper("UPDATE audit_entries SET actor_id = 'mallory' WHERE sequence = 4")
        assert len(await _problems(trail, since=datetime(2026, 7, 2, tzinfo=UTC))) == 1

    async def test_the_first_discrepancies_are_named_and_the_others_counted(self, trail, tamper, invoices):
        await tamper("UPDATE audit_entries SET actor_id = 'mallory'")

        report = await trail.verify(most=2)
        assert (len(report.discrepancies), report.more) == (2, 7)

    async def test_a_trail_longer_than_a_page_is_read_to_its_end(self, database, books, trail, tamper, monkeypatch):
        for module in ("_seals", "_verify"):
            monkeypatch.setattr(f"mainspring.data._audit_trail.{module}.PAGE", 4)
        with acting_as(Actor("job", "import")):
            async with database.write() as session:
                rows = await Store(books.Invoice, session).add_many([books.Invoice(number=f"{n}") for n in range(11)])
        for row in rows[:3]:
            await _note(database, books, row.id, "x")
        await trail.seal()

        report = await trail.verify()
        assert (report.intact, report.entries, report.chains) == (True, 14, 11)
        await tamper("UPDATE audit_entries SET actor_id = 'mallory' WHERE sequence = 1")
        assert len(await _problems(trail)) == 11


class TestPurging:
    async def test_what_is_left_can_still_be_verified(self, database, books, trail, entries, invoices, frozen_clock):
        await trail.seal()
        frozen_clock.advance(timedelta(days=400))
        await _note(database, books, invoices["1"], "later")
        await trail.seal()

        assert await trail.purge(before=frozen_clock.now() - timedelta(days=365)) == 9
        assert [entry.sequence for entry in await entries()] == [4]
        assert (await trail.verify()).intact
        await _note(database, books, invoices["1"], "on and on")
        await _note(database, books, invoices["2"], "again")
        await trail.seal()
        report = await trail.verify()
        assert (report.intact, report.entries) == (True, 3)

    async def test_it_hides_nothing_else(self, database, books, trail, tamper, invoices, frozen_clock):
        await trail.seal()
        frozen_clock.advance(timedelta(days=400))
        for note in ("a", "b"):
            await _note(database, books, invoices["1"], note)
        await trail.seal()
        await trail.purge(before=frozen_clock.now() - timedelta(days=365))
        await tamper("DELETE FROM audit_entries WHERE sequence = 4")

        assert f"books_invoice {invoices['1']} entry 5: the 4 before it are missing" in await _problems(trail)

    async def test_what_no_seal_vouches_for_is_never_purged(self, trail, entries, invoices, frozen_clock):
        assert await trail.purge(before=frozen_clock.now() + timedelta(days=1)) == 0
        assert len(await entries()) == 9
