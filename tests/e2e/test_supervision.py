"""Several workers behind one port: replaced, killed, broken, orphaned, while clients ask on."""

import asyncio
import json
import os
import signal
import time
from pathlib import Path

import httpx2
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from .serving import Load, Serving, is_alive, pids_of, request, served, until

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(240)]

TWO = ("--workers", "2")
QUICK = {"DRAIN_GRACE_SECONDS": "0.5"}


def both_ready(shop: Serving) -> list[int]:
    shop.wait_for('"Worker ready"', times=2)
    return pids_of(shop)


async def told(shop: Serving, pattern: str, times: int = 1) -> None:
    await asyncio.to_thread(shop.wait_for, pattern, times=times)


class TestReplacing:
    async def test_three_rolling_restarts_under_load_fail_no_request_and_bring_the_new_code(self, tmp_path):
        with served(tmp_path, *TWO, **QUICK) as shop:
            both_ready(shop)
            load = Load(shop.port, path="/api/v1/greeting")
            done = asyncio.Event()
            loading = asyncio.create_task(load.run(done.is_set))
            code = shop.folder / "src" / "shop" / "app.py"
            for number in (1, 2, 3):
                await until(lambda: load.answers.total() > 200)
                code.write_text(code.read_text().replace('GREETING = "', f'GREETING = "{number}'))
                shop.signal(signal.SIGHUP)
                await told(shop, '"Replaced the workers"', number)
            fresh = load.answers[b'"321hello"']
            await until(lambda: load.answers[b'"321hello"'] > fresh + 100)
            done.set()
            await loading
            alive = [pid for pid in pids_of(shop) if is_alive(pid)]
            shop.signal(signal.SIGTERM)
            ended = await asyncio.to_thread(shop.code)

        assert load.failures == []
        assert load.told > 0
        assert len(set(pids_of(shop))) == 8
        assert alive == pids_of(shop)[-2:]
        assert ended == 0
        assert shop.output.count("till closed") == 8
        assert "Traceback" not in shop.output

    async def test_workers_that_have_served_enough_are_replaced_without_a_failed_request(self, tmp_path):
        with served(tmp_path, *TWO, WORKER_MAX_REQUESTS="1500", **QUICK) as shop:
            first = both_ready(shop)
            load = Load(shop.port)
            loading = asyncio.create_task(load.run(lambda: not any(map(is_alive, first))))
            async with asyncio.timeout(120):
                await loading

            assert load.failures == []
            assert len(load.answers) >= 3
            assert set(load.answers) <= {str(pid).encode() for pid in pids_of(shop)}

    async def test_a_single_worker_can_be_replaced_too(self, tmp_path):
        with served(tmp_path, WORKER_MAX_LIFETIME="1", **QUICK) as shop:
            load = Load(shop.port)
            await load.run(lambda: len(load.answers) >= 2)

            assert load.failures == []

    async def test_one_that_is_sent_sigterm_is_replaced_and_readiness_stays(self, tmp_path):
        with served(tmp_path, *TWO, **QUICK) as shop:
            first, second = both_ready(shop)
            load = Load(shop.port, path="/health/ready")
            loading = asyncio.create_task(load.run(lambda: not is_alive(first)))
            await until(lambda: load.answers.total() > 100)
            os.kill(first, signal.SIGTERM)
            await loading

            assert load.failures == []
            assert is_alive(second)
            assert len(pids_of(shop)) == 3


async def test_lines_of_all_workers_are_whole_and_none_is_lost(tmp_path):
    with served(tmp_path, *TWO, **QUICK) as shop:
        both_ready(shop)
        load = Load(shop.port, path="/api/v1/log")
        await load.run(lambda: load.answers.total() >= 1500)
        shop.signal(signal.SIGTERM)
        await asyncio.to_thread(shop.code)

    lines = [json.loads(line) for line in shop.lines if line != "till closed\n"]
    assert len(load.answers) == 2
    assert sum(line["message"] == "long" for line in lines) == 3 * load.answers.total()
    assert sum(line["logger"] == "mainspring.access" for line in lines) == load.answers.total()


class TestFailing:
    async def test_a_worker_that_is_killed_is_replaced_and_the_other_one_goes_on(self, tmp_path):
        with served(tmp_path, *TWO, **QUICK) as shop:
            first, second = both_ready(shop)
            os.kill(first, signal.SIGKILL)
            load = Load(shop.port)
            await load.run(lambda: len(pids_of(shop)) == 3 and len(load.answers) == 2)

            assert load.failures == []
            assert set(load.answers) == {str(pid).encode() for pid in (second, pids_of(shop)[-1])}
            assert '"how":"signal SIGKILL"' in shop.output

    async def test_one_that_hangs_is_killed_says_where_it_stood_and_is_replaced(self, tmp_path):
        with served(tmp_path, *TWO, WORKER_TIMEOUT="2", **QUICK) as shop:
            both_ready(shop)
            reader, writer = await asyncio.open_connection("127.0.0.1", shop.port)
            writer.write(request("/api/v1/blocked"))
            await told(shop, '"Worker ready"', 3)
            assert await reader.read() == b""
            writer.close()

        assert '"A worker hangs; killed"' in shop.output
        assert "in blocked" in shop.output

    async def test_new_settings_that_are_not_sound_leave_the_old_workers_serving(self, tmp_path):
        with served(tmp_path, *TWO, **QUICK) as shop:
            first = both_ready(shop)
            load = Load(shop.port)
            done = asyncio.Event()
            loading = asyncio.create_task(load.run(done.is_set))
            (tmp_path / ".env").write_text("PORT=ninety\n")
            shop.signal(signal.SIGHUP)
            await told(shop, "those that were there go on")
            (tmp_path / ".env").write_text("LOG_LEVEL=INFO\n")
            asked = load.answers.total()
            await until(lambda: load.answers.total() > asked + 200)
            unchanged = all(map(is_alive, first)) and len(pids_of(shop)) == 2
            shop.signal(signal.SIGHUP)
            await told(shop, '"Replaced the workers"')
            done.set()
            await loading

        assert unchanged
        assert shop.output.count("1. PORT") == 1
        assert load.failures == []
        assert "Traceback" not in shop.output

    def test_a_worker_that_keeps_failing_is_tried_again_with_pauses(self, tmp_path):
        with served(tmp_path, *TWO, **QUICK) as shop:
            first, _ = both_ready(shop)
            (tmp_path / ".env").write_text("PORT=ninety\n")
            os.kill(first, signal.SIGKILL)
            shop.wait_for("trying again", times=3)
            pauses = [json.loads(line)["extra"]["seconds"] for line in shop.lines if "trying again" in line]
            (tmp_path / ".env").write_text("LOG_LEVEL=INFO\n")
            shop.wait_for('"Worker ready"', times=3)

        assert pauses[:3] == [1.0, 2.0, 4.0]


class TestTheEnd:
    async def test_sigterm_drains_all_workers_and_ends_streams_and_sockets(self, tmp_path):
        with served(tmp_path, *TWO, DRAIN_GRACE_SECONDS="1") as shop:
            both_ready(shop)
            load = Load(shop.port)
            loading = asyncio.create_task(load.run(lambda: False, ends=True))
            async with connect(f"ws://127.0.0.1:{shop.port}/api/v1/echo") as client:
                await until(lambda: load.answers.total() > 300)
                shop.signal(signal.SIGTERM)
                with pytest.raises(ConnectionClosed) as closed:
                    await client.recv()
            await loading
            code = await asyncio.to_thread(shop.code)

        assert load.failures == []
        assert (closed.value.rcvd.code, code) == (1012, 0)
        assert shop.output.count("till closed") == 2

    async def test_readiness_says_503_at_once_in_every_worker(self, tmp_path):
        with served(tmp_path, *TWO, DRAIN_GRACE_SECONDS="2") as shop, httpx2.Client(timeout=10) as client:
            both_ready(shop)
            url = f"http://127.0.0.1:{shop.port}/health/ready"
            shop.signal(signal.SIGTERM)
            await told(shop, '"Draining"', 2)
            answers = [client.get(url, headers={"connection": "close"}).status_code for _ in range(20)]

        assert answers == [503] * 20

    def test_a_second_signal_ends_all_at_once(self, tmp_path):
        with served(tmp_path, *TWO, DRAIN_GRACE_SECONDS="60") as shop:
            both_ready(shop)
            shop.signal(signal.SIGTERM)
            shop.wait_for('"Draining"', times=2)
            time.sleep(0.5)  # noqa: TID251 -- sooner it would be the same signal, told twice
            began = time.monotonic()
            shop.signal(signal.SIGINT)
            code = shop.code()

        assert time.monotonic() - began < 5
        assert code == 0
        assert shop.output.count("till closed") == 2

    async def test_a_signal_that_is_told_twice_is_one(self, tmp_path):
        with served(tmp_path, *TWO, DRAIN_GRACE_SECONDS="2") as shop, httpx2.Client(timeout=10) as client:
            both_ready(shop)
            url = f"http://127.0.0.1:{shop.port}/api/v1/greeting"
            shop.signal(signal.SIGTERM)
            shop.signal(signal.SIGINT)
            await told(shop, '"Draining"', 2)
            answers = [client.get(url, headers={"connection": "close"}).status_code for _ in range(20)]

        assert answers == [200] * 20

    async def test_workers_whose_supervisor_is_killed_drain_and_end(self, tmp_path):
        with served(tmp_path, *TWO, DRAIN_GRACE_SECONDS="0") as shop:
            pids = both_ready(shop)
            shop.process.kill()
            await until(lambda: not any(map(is_alive, pids)))
            shop.code()

        assert shop.output.count("till closed") == 2
        assert "Traceback" not in shop.output

    def test_the_folder_that_workers_share_is_there_while_they_run_and_gone_afterwards(self, tmp_path):
        place = tmp_path / "temporary"
        place.mkdir()
        with served(tmp_path, *TWO, TMPDIR=str(place), DRAIN_GRACE_SECONDS="0") as shop:
            pids = both_ready(shop)
            named = {
                value
                for pid in pids
                for value in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
                if value.startswith(b"MAINSPRING_RUN_DIRECTORY=")
            }
            (folder,) = [Path(value.partition(b"=")[2].decode()) for value in named]
            there = folder.is_dir() and folder.parent == place
            shop.signal(signal.SIGTERM)
            shop.code()

        assert there
        assert list(place.iterdir()) == []
