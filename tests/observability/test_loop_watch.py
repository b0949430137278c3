"""The loop's lateness is measured, and a call that blocks it is named while it does."""

import asyncio
import re
import threading
import time

import pytest

from mainspring.observability import LogContext, LoopWatch, use_context
from tests.observability.capture import json_lines

SLOW = 0.2
BLOCKED = "A call blocks the event loop; nothing else is served meanwhile"


@pytest.fixture
def lines():
    with json_lines() as lines:
        yield lines


@pytest.fixture
async def watched():
    """Watches this test's loop, looking from a thread as a service does."""
    watch = LoopWatch(SLOW, describe=lambda context: {"route": f"/of/{context.request_id}"})
    stopping = threading.Event()

    def run():
        while not stopping.wait(watch.look_seconds):
            watch.look()

    watch.start()
    thread = threading.Thread(target=run)
    thread.start()
    yield watch
    stopping.set()
    thread.join()
    watch.stop()


def blocks(seconds):
    threading.Event().wait(seconds)


async def handler_that_blocks(seconds=1.0):
    blocks(seconds)  # the line that is named


def told(lines):
    return [line["extra"] | line for line in lines(message=BLOCKED)]


async def until(found):
    async with asyncio.timeout(10):
        while not found():
            await asyncio.sleep(0.02)


class TestBlocked:
    async def test_one_warning_names_the_function_the_line_and_the_request(self, watched, lines):
        with use_context(LogContext("request-7")):
            task = asyncio.create_task(handler_that_blocks())
        await task

        (line,) = told(lines)
        assert line["level"] == "warning"
        assert re.fullmatch(r"blocks in .*test_loop_watch\.py, line \d+", line["where"])
        assert "in handler_that_blocks\n    blocks(seconds)  # the line that is named" in line["stack"]
        assert (line["request_id"], line["route"]) == ("request-7", "/of/request-7")
        assert line["late_seconds"] >= SLOW

    async def test_it_is_told_while_it_blocks_and_not_afterwards(self, watched, lines):
        seen = []

        def block_until_told():
            end = time.monotonic() + 10
            while not told(lines) and time.monotonic() < end:
                blocks(0.01)
            seen.extend(told(lines))

        block_until_told()

        assert len(seen) == 1

    async def test_what_stands_around_every_call_is_left_out(self, watched, lines):
        await asyncio.create_task(handler_that_blocks())

        (line,) = told(lines)
        assert line["stack"].count("File ") <= 4
        assert "runners.py" not in line["stack"]
        assert "_pytest" not in line["stack"]

    async def test_the_same_place_is_told_once_a_minute_and_counted_each_time(self, watched, lines):
        for _ in range(3):
            await asyncio.create_task(handler_that_blocks(0.8))
            # The next stretch begins with a tick.
            await asyncio.sleep(0.3)

        assert len(told(lines)) == 1
        counts = {family.name: family.values[()][0] for family in watched.families()}
        assert counts["event_loop_blocked"] == 3

    async def test_short_calls_and_waiting_are_no_blocking(self, watched, lines):
        for _ in range(20):
            blocks(0.01)
            await asyncio.sleep(0.02)

        assert told(lines) == []

    async def test_a_machine_that_stood_still_is_nobodys_fault(self, lines):
        watch = LoopWatch(SLOW, describe=lambda _: {})
        watch.start()
        # Neither the loop nor the thread that looks has run meanwhile.
        blocks(1.0)
        await asyncio.to_thread(watch.look)
        watch.stop()

        assert told(lines) == []

    async def test_zero_switches_it_off(self, lines):
        watch = LoopWatch(0, describe=lambda _: {})
        watch.start()
        for _ in range(5):
            blocks(0.1)
            watch.look()
        watch.stop()

        assert told(lines) == []


class TestLag:
    async def test_lateness_falls_into_the_buckets(self, watched):
        def lag():
            (family,) = [family for family in watched.families() if family.kind == "histogram"]
            (numbers,) = family.values.values()
            return family, numbers

        await until(lambda: sum(lag()[1][:-1]) >= 2)
        blocks(0.8)
        await until(lambda: lag()[1][-1] > 0.4)
        family, (*buckets, _) = lag()

        late = [count for bound, count in zip([*family.bounds, float("inf")], buckets, strict=True) if bound > 0.4]
        assert sum(late) >= 1

    async def test_there_is_one_timer_and_none_after_the_end(self):
        watch = LoopWatch(SLOW, describe=lambda _: {})
        loop = asyncio.get_running_loop()
        before = len(loop._scheduled)
        watch.start()
        await asyncio.sleep(0.6)
        during = len(loop._scheduled)
        watch.stop()

        assert during - before == 1
        assert all(timer.cancelled() for timer in loop._scheduled[before:])
