"""Rotation of keys while others read and write: nothing is lost, nothing is left."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import LargeBinary, select, text, type_coerce, update

from mainspring.data import Database, Store
from mainspring.errors import ConcurrentUpdate
from mainspring.security import (
    EncryptionFailed,
    KeyMissing,
    encrypt_with,
    key_use,
    rotate_encrypted_columns,
)
from mainspring.testing import Schema
from tests.security.safe import NEW, OLD, Customer, SafeBase, keyring

_WAITING = text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")
BOTH_OLD, BOTH_NEW = keyring(OLD, NEW), keyring(NEW, OLD)


@pytest.fixture
def database_schema() -> Schema:
    return Schema(tables=SafeBase.metadata)


@pytest.fixture
async def connect(fresh_database, database_url) -> AsyncIterator[Any]:
    """Opens the database as another process would, with keys of its own."""
    opened = []

    async def connecting(keys: Any) -> Database:
        database = Database.connect(database_url, application_name="process", pool_size=3)
        encrypt_with(database, keys)
        opened.append(database)
        return database

    yield connecting
    for database in opened:
        await database.close()


async def filled(database: Database, count: int) -> list[Any]:
    async with database.write() as session:
        rows = [Customer(name=str(n), iban=f"iban {n} 0", notes=[n]) for n in range(count)]
        return [row.id for row in await Store(Customer, session).add_many(rows)]


async def rotated(database: Database, keys: Any, **options: Any) -> tuple[int, int]:
    done = [one async for one in rotate_encrypted_columns(database, keys, SafeBase.metadata, **options)]
    return sum(one.renewed for one in done), sum(one.passed for one in done)


async def in_use(database: Database, keys: Any) -> dict[tuple[str, Any], int]:
    return {(one.column, one.key): one.values for one in await key_use(database, keys, SafeBase.metadata)}


async def _is_waiting(database: Database) -> bool:
    async with database.read() as session:
        return bool(await session.scalar(_WAITING))


class TestQuietly:
    async def test_every_value_gets_the_current_key_and_says_the_same(self, connect):
        database = await connect(BOTH_OLD)
        keys = await filled(database, 25)
        assert await in_use(database, BOTH_OLD) == {
            ("safe_customer.iban", "old"): 25,
            ("safe_customer.notes", "old"): 25,
        }
        assert await rotated(database, BOTH_NEW, batch=10) == (50, 0)
        assert await in_use(database, BOTH_NEW) == {
            ("safe_customer.iban", "new"): 25,
            ("safe_customer.notes", "new"): 25,
        }
        after = await connect(keyring(NEW))
        async with after.read() as session:
            rows = await Store(Customer, session).get_many(keys)
        assert [(row.iban, row.notes) for row in rows] == [(f"iban {n} 0", [n]) for n in range(25)]

    async def test_again_there_is_nothing_to_do(self, connect):
        database = await connect(BOTH_OLD)
        await filled(database, 3)
        assert await rotated(database, BOTH_NEW) == (6, 0)
        assert await rotated(database, BOTH_NEW) == (0, 0)

    async def test_broken_off_it_goes_on_where_it_was(self, connect):
        database = await connect(BOTH_OLD)
        await filled(database, 10)
        async for progress in rotate_encrypted_columns(database, BOTH_NEW, SafeBase.metadata, batch=4):
            assert progress.renewed == 8
            break
        assert await rotated(database, BOTH_NEW) == (12, 0)

    async def test_versions_and_moments_stay(self, connect):
        database = await connect(BOTH_OLD)
        (key,) = await filled(database, 1)
        async with database.write() as session:
            await session.execute(text("UPDATE safe_customer SET updated_at = '2020-01-01 00:00:00+00:00'"))
        async with database.read() as session:
            before = await Store(Customer, session).get(key)
        await rotated(database, BOTH_NEW)
        other = await connect(BOTH_NEW)
        async with other.read() as session:
            after = await Store(Customer, session).get(key)
        assert (after.version, after.updated_at) == (before.version, before.updated_at)

    async def test_a_value_of_an_unknown_key_is_named_and_kept(self, connect):
        database = await connect(keyring({"lost": b"l" * 32}))
        await filled(database, 1)
        with pytest.raises(KeyMissing, match="key 'lost'"):
            await rotated(database, BOTH_NEW)
        assert await in_use(database, BOTH_NEW) == {
            ("safe_customer.iban", "lost"): 1,
            ("safe_customer.notes", "lost"): 1,
        }

    async def test_a_value_that_is_not_encrypted_is_no_value_of_ours(self, connect):
        database = await connect(BOTH_OLD)
        await filled(database, 1)
        column = Customer.__table__.c.iban
        async with database.write() as session:
            await session.execute(update(Customer.__table__).values({column: type_coerce(b"DE02 plain", LargeBinary)}))
        assert await in_use(database, BOTH_NEW) == {("safe_customer.iban", None): 1, ("safe_customer.notes", "old"): 1}
        with pytest.raises(EncryptionFailed, match="is not encrypted") as caught:
            await rotated(database, BOTH_NEW)
        assert "DE02" not in str(caught.value)


class TestUnderLoad:
    ROWS = 24

    async def test_no_update_is_lost_and_no_read_fails_and_then_the_old_key_can_go(self, connect):
        # Two processes during the rollout: one still encrypts with the old key, one with the new; both know both.
        before, beside, after = await connect(BOTH_OLD), await connect(BOTH_OLD), await connect(BOTH_NEW)
        keys = await filled(before, self.ROWS)
        written = dict.fromkeys(keys, 0)
        reads = 0
        begun, done = asyncio.Event(), asyncio.Event()

        async def write(database: Database, mine: list[Any]) -> None:
            while not done.is_set():
                for key in mine:
                    try:
                        async with database.write() as session:
                            store = Store(Customer, session)
                            row = await store.get(key)
                            number = int(row.iban.rpartition(" ")[2])
                            assert number == written[key], "an update was lost"
                            await store.update(row, {"iban": f"iban {row.name} {number + 1}"})
                    except ConcurrentUpdate:
                        continue
                    written[key] += 1
                begun.set()

        async def read(database: Database) -> None:
            nonlocal reads
            while not done.is_set():
                async with database.read() as session:
                    found = [row async for row in Store(Customer, session).stream(batch=20)]
                assert len(found) == self.ROWS
                reads += 1

        async def rotate() -> None:
            await begun.wait()
            for _ in range(3):
                await rotated(beside, BOTH_NEW, batch=5)
            done.set()

        async with asyncio.timeout(50), asyncio.TaskGroup() as tasks:
            tasks.create_task(write(before, keys[::2]))
            tasks.create_task(write(after, keys[1::2]))
            tasks.create_task(read(before))
            tasks.create_task(read(after))
            tasks.create_task(rotate())
        assert reads
        assert min(written.values()) >= 1

        # The old process is gone; what it wrote last is renewed, and the old key is taken out of the settings.
        await rotated(after, BOTH_NEW)
        assert set(await in_use(after, BOTH_NEW)) == {("safe_customer.iban", "new"), ("safe_customer.notes", "new")}
        alone = await connect(keyring(NEW))
        async with alone.read() as session:
            rows = await Store(Customer, session).get_many(keys)
        assert {row.id: row.iban for row in rows} == {key: f"iban {n} {written[key]}" for n, key in enumerate(keys)}

    @pytest.mark.databases("postgresql")
    async def test_a_value_that_was_changed_between_reading_and_writing_stays_as_it_was_changed(self, connect):
        database, other = await connect(BOTH_OLD), await connect(BOTH_OLD)
        (key,) = await filled(database, 1)
        raw = type_coerce(Customer.__table__.c.iban, LargeBinary)
        async with other.write() as session:
            # Holds the row, so that the rotation has read the old value and waits to write.
            row = await Store(Customer, session).get(key)
            await Store(Customer, session).update(row, {"iban": "changed"})
            rotation = asyncio.create_task(rotated(database, BOTH_NEW))
            # Each time anew: within a transaction PostgreSQL gives the same answer.
            while not await _is_waiting(database):
                await asyncio.sleep(0.01)
        assert await rotation == (1, 1)
        async with database.read() as session:
            assert await session.scalar(select(Customer.iban)) == "changed"
            assert bytes(await session.scalar(select(raw))).startswith(b"\x01old")
