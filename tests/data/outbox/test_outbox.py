"""Messages leave after the commit, at least once, those of a key in order, whatever dies in between."""

import asyncio
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import BaseModel

from mainspring.data import Database, Migrator, Outbox, OutboxRelay, outbox_module
from mainspring.kernel import Migrations, Module
from mainspring.observability import LogContext, use_context
from tests.printing import Printing

MODULE = Module(name="outbox", migrations=Migrations("mainspring.data._outbox.migrations", "mainspring.data._outbox"))
DYING = """
import asyncio, sys
from mainspring.data import Database, Outbox, OutboxRelay

async def deliver(messages):
    print("delivered", [message.topic for message in messages], flush=True)
    await asyncio.Event().wait()

async def main():
    database = Database.connect(sys.argv[1])
    relay = OutboxRelay(database, Outbox(), deliver, lease=float(sys.argv[2]))
    relay.start()
    await asyncio.Event().wait()

asyncio.run(main())
"""


class Placed(BaseModel):
    order: int


class TestRecording:
    async def test_a_message_carries_what_it_was_given_and_the_trace(self, database, outbox, receiver, frozen_clock):
        with use_context(LogContext("request-1", "a" * 32)):
            async with database.write() as session:
                recorded = await outbox.record(session, "orders", Placed(order=7), key="7", headers={"v": "2"})

        await OutboxRelay(database, outbox, receiver, clock=frozen_clock).drain()
        (message,) = receiver.messages
        assert (message.id, message.topic, message.key, message.payload) == (recorded, "orders", "7", '{"order":7}')
        assert message.headers["v"] == "2"
        assert message.headers["traceparent"].startswith(f"00-{'a' * 32}-")
        assert (message.recorded_at, message.attempts) == (frozen_clock.now(), 1)

    async def test_a_unit_of_work_that_fails_leaves_no_message(self, database, outbox, waiting):
        with pytest.raises(ZeroDivisionError):
            async with database.write() as session:
                await outbox.record(session, "orders", {})
                raise ZeroDivisionError

        assert await waiting() == []

    @pytest.mark.parametrize(
        ("topic", "key", "says"),
        [("", None, "topic of a message"), ("t" * 201, None, "201"), ("t", "", "key of a message")],
    )
    async def test_names_have_a_length(self, database, outbox, topic, key, says):
        async with database.write() as session:
            with pytest.raises(ValueError, match=says):
                await outbox.record(session, topic, {}, key=key)

    async def test_a_payload_that_is_too_large_is_refused_with_advice(self, database, outbox):
        async with database.write() as session:
            with pytest.raises(ValueError, match="Store it elsewhere and send its address"):
                await outbox.record(session, "orders", {"text": "x" * 300_000})

    async def test_the_tables_are_what_the_models_have(self, database_url, database):
        # Other tests' models are in the same metadata.
        assert [line for line in await Migrator(database_url, [MODULE]).drift() if "outbox" in line] == []

    @pytest.mark.databases("sqlite")
    async def test_the_migration_is_not_refused_by_the_check(self):
        assert (await Migrator("sqlite:///unused.db", [MODULE]).safety(since="base")).findings == []


class TestDelivering:
    @pytest.fixture
    def relay(self, database, outbox, receiver, frozen_clock) -> OutboxRelay:
        return OutboxRelay(database, outbox, receiver, clock=frozen_clock, attempts=3, lease=2)

    async def test_what_is_delivered_is_gone(self, relay, record, receiver, waiting):
        await record("a", "b", "c")

        assert await relay.drain() == 3
        assert (receiver.got, await waiting()) == (["a", "b", "c"], [])

    async def test_messages_of_a_key_come_in_order_over_failures(self, relay, record, receiver, frozen_clock):
        await record("1:k", "other", "2:k", "3:k")
        receiver.refused = {"1:k"}
        await relay.drain()
        assert receiver.got == ["other"]

        receiver.refused = set()
        await relay.drain()
        assert receiver.got == ["other"]  # its time has not come
        frozen_clock.advance(timedelta(minutes=1))
        await relay.drain()
        assert receiver.got == ["other", "1:k", "2:k", "3:k"]

    async def test_a_message_that_always_fails_blocks_nobody_else_and_dies_with_its_reason(
        self, relay, record, receiver, frozen_clock, waiting, outbox, database
    ):
        await record("poison:k", "fine", "next:k")
        receiver.refused = {"poison:k"}
        for _ in range(3):
            await relay.drain()
            frozen_clock.advance(timedelta(minutes=10))
        await relay.drain()

        (dead,) = await waiting()
        assert (dead.topic, dead.attempts, receiver.got) == ("poison:k", 3, ["fine", "next:k"])
        assert dead.last_error.startswith("ConnectionError")
        assert "hunter2" not in dead.last_error
        async with database.read() as session:
            assert await outbox.dead(session) == 1

    async def test_one_that_died_can_be_replayed(self, relay, record, receiver, frozen_clock, outbox, database):
        await record("poison")
        receiver.refused = {"poison"}
        for _ in range(3):
            await relay.drain()
            frozen_clock.advance(timedelta(minutes=10))
        receiver.refused = set()
        async with database.write() as session:
            assert await outbox.replay(session, topic="other") == 0
            assert await outbox.replay(session, topic="poison") == 1

        await relay.drain()
        assert receiver.got == ["poison"]

    async def test_waits_grow_and_differ(self, relay, record, receiver, frozen_clock, waiting):
        await record(*(f"poison {number}" for number in range(10)))
        receiver.refused = {f"poison {number}" for number in range(10)}
        longest = []
        for _ in range(2):
            await relay.drain()
            waits = {(row.due_at - frozen_clock.now()).total_seconds() for row in await waiting()}
            assert len(waits) > 5
            longest.append(max(waits))
            frozen_clock.advance(timedelta(minutes=10))
        assert longest[0] <= 1 < longest[1] <= 2

    async def test_one_that_hangs_takes_no_other_down_with_it(self, database, outbox, record, receiver, frozen_clock):
        relay = OutboxRelay(database, outbox, receiver, clock=frozen_clock, lease=0.4)
        await record("hung", "a", "b")
        receiver.hung = {"hung"}
        await relay.drain()

        assert receiver.got == ["a", "b"]
        assert [message.attempts for message in receiver.messages] == [1, 1]


class TestManyRelays:
    async def test_share_the_work_and_deliver_each_message_once(self, fresh_database, outbox, record, frozen_clock):
        got: list[str] = []

        async def deliver(messages) -> None:
            await asyncio.sleep(0.001)
            got.extend(message.topic for message in messages)

        await record(*(f"{number}:{number % 3}" for number in range(30)), *(f"free {number}" for number in range(30)))
        relays = [OutboxRelay(fresh_database, outbox, deliver, batch=4, clock=frozen_clock) for _ in range(3)]
        while not all(tried == 0 for tried in await asyncio.gather(*(relay.drain() for relay in relays))):
            pass

        assert sorted(got) == sorted([*(f"{n}:{n % 3}" for n in range(30)), *(f"free {n}" for n in range(30))])
        for key in "012":
            of_key = [int(topic.partition(":")[0]) for topic in got if topic.endswith(f":{key}")]
            assert of_key == sorted(of_key)


class TestARunningRelay:
    async def test_is_woken_by_the_commit_and_finishes_its_batch_when_stopped(
        self, fresh_database, outbox, record, waiting
    ):
        begun, finish = asyncio.Event(), asyncio.Event()

        async def deliver(_) -> None:
            begun.set()
            await finish.wait()

        relay = OutboxRelay(fresh_database, outbox, deliver, poll=3600)
        relay.start()
        await asyncio.sleep(0)
        await record("a")
        async with asyncio.timeout(20):
            await begun.wait()
            stopping = asyncio.create_task(relay.stop())
            await asyncio.sleep(0.05)
            assert not stopping.done()
            finish.set()
            await stopping
        assert await waiting() == []

    async def test_ends_at_once_while_it_has_nothing_to_do(self, fresh_database, outbox, receiver):
        for pauses in range(20):
            relay = OutboxRelay(fresh_database, outbox, receiver, poll=3600)
            relay.start()
            for _ in range(pauses):
                await asyncio.sleep(0)
            async with asyncio.timeout(20):
                await relay.stop()

    @pytest.mark.databases("postgresql")
    async def test_is_woken_by_another_process_and_again_after_its_connection_was_lost(
        self, fresh_database, outbox, receiver, database_url
    ):
        elsewhere = Database.connect(database_url)
        relay = OutboxRelay(fresh_database, Outbox(), receiver, poll=3600)
        relay.start()
        async with asyncio.timeout(30):
            for topic in ("a", "b"):
                while relay._listener._raw is None or relay._listener._raw.is_closed():
                    await asyncio.sleep(0.01)
                async with elsewhere.write() as session:
                    await outbox.record(session, topic, {})
                while topic not in receiver.got:
                    await asyncio.sleep(0.01)
                relay._listener._raw.terminate()
                relay._awake.set()
        await relay.stop()
        await elsewhere.close()
        assert receiver.got == ["a", "b"]

    async def test_what_a_killed_process_had_handed_over_and_not_deleted_comes_again(
        self, fresh_database, database_url, record, receiver, tmp_path, waiting
    ):
        (tmp_path / "dying.py").write_text(DYING)
        now = Outbox()
        async with fresh_database.write() as session:
            for topic in ("a", "b"):
                await now.record(session, topic, {})
        command = [sys.executable, str(tmp_path / "dying.py"), database_url, "2"]
        process = Printing(command, Path.cwd(), {}, seconds=30)
        await asyncio.to_thread(process.wait_for, r"delivered \['a', 'b'\]")
        process.process.kill()
        process.code()
        assert len(await waiting()) == 2

        relay = OutboxRelay(fresh_database, now, receiver, poll=0.05)
        relay.start()
        async with asyncio.timeout(30):
            while len(receiver.got) < 2:
                await asyncio.sleep(0.05)
        await relay.stop()
        assert (receiver.got, [message.attempts for message in receiver.messages]) == (["a", "b"], [2, 2])
        assert await waiting() == []


@pytest.mark.databases("sqlite")
def test_the_module_has_a_relay_only_with_a_hook():
    assert [resource.name for resource in outbox_module().resources] == ["outbox"]
    hooked = outbox_module(lambda registry: registry.get(object))
    assert [resource.name for resource in hooked.resources] == ["outbox", "outbox-relay"]
