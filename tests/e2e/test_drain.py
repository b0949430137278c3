"""SIGTERM, seen by the clients of one process."""

import asyncio
import json
import os
import re
import signal
import socket
import sys
import time
from pathlib import Path
from textwrap import dedent

import httpx2
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from .serving import APP, Load, Serving, read_reply, request, served, until

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(120)]


def raw(port: int) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", port))
    client.settimeout(20)
    return client


def everything(client: socket.socket) -> bytes:
    return b"".join(iter(lambda: client.recv(65536), b""))


def until_it_ends_in(end: bytes, client: socket.socket) -> None:
    received = b""
    while not received.endswith(end):
        received += client.recv(65536)


class TestUnderLoad:
    async def test_no_request_fails_and_no_connection_is_reset_until_new_ones_are_refused(self, tmp_path):
        with served(tmp_path, DRAIN_GRACE_SECONDS="1") as shop:
            load = Load(shop.port)
            loading = asyncio.create_task(load.run(lambda: False, ends=True))
            await until(lambda: load.answers.total() > 500)
            shop.signal(signal.SIGTERM)
            async with asyncio.timeout(30):
                await loading
            code = await asyncio.to_thread(shop.code)

        assert load.failures == []
        assert (load.told > 10, load.refused, code) == (True, True, 0)
        assert shop.output.count("till closed") == 1
        assert "Traceback" not in shop.output

    async def test_without_any_grace_those_who_come_last_are_answered_too(self, tmp_path):
        with served(tmp_path, DRAIN_GRACE_SECONDS="0") as shop:
            port = shop.port
            load = Load(port)
            loading = asyncio.create_task(load.run(lambda: False, ends=True))
            await until(lambda: load.answers.total() > 500)
            shop.signal(signal.SIGTERM)
            async with asyncio.timeout(30):
                await loading

        # Nobody was told beforehand, so a kept connection may be closed in the moment it is used again, which is why
        # there is a grace; those on new connections and those who ask without a pause are never cut.
        assert [failure for failure in load.failures if "status" in failure or "connect" in failure] == []
        assert len(load.failures) <= 4


class TestTheGrace:
    def test_readiness_says_503_at_once_while_everything_else_is_served_and_told_to_move_over(self, tmp_path):
        with served(tmp_path, DRAIN_GRACE_SECONDS="2") as shop, httpx2.Client(timeout=10) as client:
            url = f"http://127.0.0.1:{shop.port}"
            before = client.get(f"{url}/health/ready")
            shop.signal(signal.SIGTERM)
            sent = time.monotonic()
            while client.get(f"{url}/health/ready").status_code != 503:
                assert time.monotonic() < sent + 0.5
            ready, live, started = (client.get(f"{url}/health/{name}") for name in ("ready", "live", "startup"))
            answer = client.get(f"{url}/api/v1/greeting")
            code = shop.code()

        assert (before.status_code, "connection" in before.headers) == (200, False)
        assert ready.json() == {"status": "draining", "checks": {}}
        assert (live.status_code, started.status_code, code) == (200, 200, 0)
        assert (answer.json(), answer.headers["connection"]) == ("hello", "close")
        assert time.monotonic() - sent > 2

    def test_a_connection_that_is_silent_throughout_is_closed_and_not_reset(self, tmp_path):
        with served(tmp_path, DRAIN_GRACE_SECONDS="0.5") as shop, raw(shop.port) as used, raw(shop.port) as unused:
            used.sendall(request("/api/v1/greeting"))
            until_it_ends_in(b'"hello"', used)
            shop.signal(signal.SIGTERM)

            assert (everything(used), everything(unused)) == (b"", b"")
            assert shop.code() == 0

    def test_a_connection_that_nobody_has_accepted_yet_is_answered(self, tmp_path):
        with served(tmp_path, DRAIN_GRACE_SECONDS="0") as shop:
            port = shop.port
            with raw(port) as blocker:
                # While the event loop stands still, connections wait in the system's queue.
                os.kill(shop.process.pid, signal.SIGSTOP)
                blocker.sendall(request("/api/v1/greeting"))
                waiting = [raw(port) for _ in range(20)]
                for client in waiting[:10]:
                    client.sendall(request("/api/v1/greeting"))
                shop.signal(signal.SIGTERM)
                os.kill(shop.process.pid, signal.SIGCONT)
                shop.wait_for('"Draining"')
                for client in waiting[10:]:
                    client.sendall(request("/api/v1/greeting"))
                answers = [everything(client) for client in (blocker, *waiting)]
                for client in waiting:
                    client.close()

        assert [answer[:12] for answer in answers] == [b"HTTP/1.1 200"] * 21

    async def test_of_requests_sent_ahead_the_first_is_answered_in_full_and_says_that_it_is_the_last(self, tmp_path):
        with served(tmp_path, DRAIN_GRACE_SECONDS="2") as shop:
            reader, writer = await asyncio.open_connection("127.0.0.1", shop.port)
            shop.signal(signal.SIGTERM)
            await asyncio.to_thread(shop.wait_for, '"Draining"')
            writer.write(request("/api/v1/slow?seconds=0.2") + request("/api/v1/greeting") * 3)
            reply = await read_reply(reader)
            rest = await reader.read()
            writer.close()

        assert (reply.body, reply.closes, rest) == (b'"done"', True, b"")


class TestStreams:
    async def test_an_event_stream_ends_between_two_events_with_a_hint_when_to_come_back(self, tmp_path):
        with served(tmp_path, DRAIN_GRACE_SECONDS="0.3") as shop:
            url = f"http://127.0.0.1:{shop.port}/api/v1"

            async def read(client, path):
                async with client.stream("GET", f"{url}/{path}") as answer:
                    return b"".join([part async for part in answer.aiter_bytes()])

            async with httpx2.AsyncClient(timeout=20) as client:
                reading = [asyncio.create_task(read(client, path)) for path in ("events", "torn", "torn", "torn")]
                await asyncio.sleep(0.5)
                shop.signal(signal.SIGTERM)
                # It raises when the body is cut: "peer closed connection without sending complete message body".
                streams = await asyncio.gather(*reading)
            code = await asyncio.to_thread(shop.code)

        assert code == 0
        for stream in streams:
            assert re.search(rb"\n\nretry: [123]\d\d\d\n\n\Z", stream)
        assert set(streams[1].split(b"\n\n")[:-2]) == {b"data: one whole"}
        assert "events ended" in shop.output
        access = [line for line in shop.lines if "mainspring.access" in line]
        assert [json.loads(line)["extra"]["complete"] for line in access] == [True] * 4
        assert "Still running" not in shop.output

    @pytest.mark.parametrize("path", ["echo", "ticker"])
    async def test_a_websocket_is_closed_with_service_restart_and_its_handler_ends(self, tmp_path, path):
        with served(tmp_path, DRAIN_GRACE_SECONDS="0.3") as shop:
            async with connect(f"ws://127.0.0.1:{shop.port}/api/v1/{path}") as client:
                await client.send("hello")
                await client.recv()
                shop.signal(signal.SIGTERM)
                with pytest.raises(ConnectionClosed) as ended:
                    while True:
                        await client.recv()
            code = await asyncio.to_thread(shop.code)

        assert ended.value.rcvd.code == 1012
        assert code == 0
        assert f"{path} ended" in shop.output
        assert "Traceback" not in shop.output
        assert "Still running" not in shop.output


class TestTheBound:
    def test_what_is_in_flight_finishes_and_so_does_what_goes_on_after_its_answer(self, tmp_path):
        with served(tmp_path, DRAIN_GRACE_SECONDS="0") as shop, raw(shop.port) as slow, raw(shop.port) as later:
            slow.sendall(request("/api/v1/slow?seconds=1"))
            shop.wait_for("slow began")
            later.sendall(request("/api/v1/later"))
            until_it_ends_in(b'"soon"', later)
            shop.signal(signal.SIGTERM)
            answer = everything(slow)
            code = shop.code()

        assert answer.endswith(b'"done"')
        assert code == 0
        assert shop.output.index("later done") < shop.output.index("till closed")

    def test_what_takes_longer_is_cancelled_answered_503_and_logged_by_route_and_request_id(self, tmp_path):
        environment = {"DRAIN_GRACE_SECONDS": "0", "DRAIN_TIMEOUT_SECONDS": "0.5"}
        with served(tmp_path, **environment) as shop, raw(shop.port) as slow:
            slow.sendall(request("/api/v1/slow?seconds=60", "X-Request-ID: request-of-ada"))
            shop.wait_for("slow began")
            shop.signal(signal.SIGTERM)
            answer = everything(slow)
            code = shop.code()

        assert answer.startswith(b"HTTP/1.1 503")
        assert b"SERVICE_UNAVAILABLE" in answer
        assert b"retry-after" in answer
        assert code == 0
        (line,) = [json.loads(line) for line in shop.lines if "Still running" in line]
        assert (line["request_id"], line["extra"]["route"]) == ("request-of-ada", "/api/v1/slow")
        assert shop.output.count("till closed") == 1

    def test_a_second_signal_ends_it_at_once(self, tmp_path):
        with served(tmp_path, DRAIN_GRACE_SECONDS="30") as shop, raw(shop.port) as slow:
            slow.sendall(request("/api/v1/slow?seconds=60"))
            shop.wait_for("slow began")
            began = time.monotonic()
            shop.signal(signal.SIGTERM)
            shop.wait_for('"Draining"')
            time.sleep(0.5)  # noqa: TID251 -- the same signal within 0.3 s is one signal
            shop.signal(signal.SIGTERM)
            answer = everything(slow)
            code = shop.code()

        assert time.monotonic() - began < 5
        assert answer.startswith(b"HTTP/1.1 503")
        assert code == 0
        assert shop.output.count("till closed") == 1

    def test_a_loop_that_stands_still_does_not_keep_it_from_ending_and_says_so(self, tmp_path):
        environment = {"DRAIN_GRACE_SECONDS": "0", "DRAIN_TIMEOUT_SECONDS": "0"}
        with served(tmp_path, **environment) as shop, raw(shop.port) as hung:
            hung.sendall(request("/api/v1/blocked"))
            shop.wait_for("blocked began")
            began = time.monotonic()
            shop.signal(signal.SIGTERM)
            code = shop.code()

        assert code == 1
        assert time.monotonic() - began < 15
        assert "did not come to its end in time" in shop.output


# The log goes where it is sent by what serves the application, here by the factory.
FACTORY = """
    import sys
    from mainspring.observability import configure_logging
    from shop.app import build

    def make():
        configure_logging(form="json", level="INFO")
        return build()
"""


def test_under_plain_uvicorn_no_line_is_lost_at_the_end(tmp_path):
    (tmp_path / "src" / "shop").mkdir(parents=True)
    (tmp_path / "src" / "shop" / "app.py").write_text(dedent(APP))
    (tmp_path / "src" / "shop" / "plain.py").write_text(dedent(FACTORY))
    uvicorn = str(Path(sys.executable).parent / "uvicorn")
    command = (uvicorn, "--factory", "shop.plain:make", "--port", "0", "--app-dir", "src")
    plain = Serving(tmp_path, command=command)
    try:
        port = plain.port
        for _ in range(50):
            assert httpx2.get(f"http://127.0.0.1:{port}/api/v1/greeting", timeout=10).status_code == 200
        plain.signal(signal.SIGTERM)
        plain.code()
    finally:
        plain.clean_up()

    assert plain.output.count("mainspring.access") == 50
    assert "Finished server process" in plain.output
