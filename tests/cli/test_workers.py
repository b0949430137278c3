"""Several workers as one service to its operators: real processes, some of them killed."""

import os
import re
import signal
import threading
import time
from collections import Counter
from pathlib import Path

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families

# Two processes start anew within it, on a machine that has other things to do.
SECONDS = 60
PAUSE = threading.Event()
TILL = """
    import asyncio, os
    from fastapi import APIRouter
    from fastapi.responses import StreamingResponse
    from mainspring.app import create_app
    from mainspring.kernel import Module
    from shop.settings import Settings

    router = APIRouter(tags=["shop"])

    @router.get("/pid")
    async def pid() -> int:
        return os.getpid()

    @router.get("/hold")
    async def hold() -> StreamingResponse:
        async def parts():
            yield str(os.getpid())
            await asyncio.sleep(600)

        return StreamingResponse(parts())

    def build():
        return create_app("shop", settings=Settings(), modules=[Module(name="till", routers=(router,))])
"""


@pytest.fixture(autouse=True)
def _database(monkeypatch):
    monkeypatch.setenv("DATABASE_URL", "sqlite:///shop.db")


@pytest.fixture
def workers(project):
    """Two of them, ready."""
    project.write("src/shop/app.py", TILL)
    with project.start("serve", "--port", "0", "--workers", "2", METRICS_PORT="0", LOG_FORMAT="json") as service:
        service.wait_for("Worker ready", times=2)
        yield service


def until(found, what):
    """Asks again and again, for a bounded time."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        answer = found()
        if answer:
            return answer
        PAUSE.wait(0.02)
    pytest.fail(f"It did not happen that {what}.")


def scraped(url) -> Counter:
    """The sum of each sample over its labels, and of the requests for process ids under `asked`."""
    text = httpx2.get(f"{url}/metrics", timeout=SECONDS).raise_for_status().text
    sums = Counter()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            sums[sample.name] += sample.value
            if sample.name == "http_requests_total" and sample.labels["route"] == "/api/v1/pid":
                sums["asked"] += sample.value
    return sums


def pid(url) -> int:
    return httpx2.get(f"{url}/api/v1/pid", timeout=SECONDS).raise_for_status().json()


def url_of(service) -> str:
    """Where it serves, which is not where it tells its metrics."""
    return service.wait_for(r'"url":"(http://127\.0\.0\.1:\d+)"')


class Caller:
    """Asks for process ids, and counts how often it got one."""

    def __init__(self, url):
        self.url = url
        self.answered = 0
        self.seen = Counter()

    def ask(self):
        found = pid(self.url)
        self.answered += 1
        self.seen[found] += 1
        return found

    def ask_all(self) -> set[int]:
        """Until two processes have answered."""
        here = set()
        until(lambda: here.add(self.ask()) or len(here) == 2, "both workers answered")
        return here


@pytest.mark.timeout(240)
def test_whichever_worker_is_scraped_tells_of_all(workers):
    caller = Caller(url_of(workers))
    caller.ask_all()
    for _ in range(20):
        caller.ask()

    alike = 0

    def told_alike():
        nonlocal alike
        sums = scraped(caller.url)
        alike = alike + 1 if (sums["asked"], sums["service_workers"]) == (caller.answered, 2) else 0
        return alike == 12

    # Twelve scrapes in a row all come to one of two workers once in two thousand times.
    until(told_alike, "twelve scrapes told of every request")
    assert min(caller.seen.values()) >= 1


@pytest.mark.timeout(240)
def test_counters_never_fall_while_all_workers_are_replaced(workers):
    caller = Caller(url_of(workers))
    before = caller.ask_all()
    told = [scraped(caller.url)["asked"]]
    workers.send(signal.SIGHUP)

    def replaced():
        told.append(scraped(caller.url)["asked"])
        now = {caller.ask() for _ in range(6)}
        return not now & before

    until(replaced, "every worker was replaced")
    until(lambda: scraped(caller.url)["asked"] == caller.answered, "every answered request was counted")
    assert told == sorted(told)
    assert told[0] > 0


@pytest.mark.timeout(240)
def test_a_killed_worker_takes_its_gauges_along_and_none_of_the_counts_that_were_told(workers):
    caller = Caller(url_of(workers))
    caller.ask_all()
    with httpx2.stream("GET", f"{caller.url}/api/v1/hold", timeout=SECONDS) as held:
        parts = held.iter_text()
        killed = int(next(parts))
        until(lambda: scraped(caller.url)["http_requests_in_flight"] == 1, "the held request was in flight")
        until(lambda: scraped(caller.url)["asked"] == caller.answered, "every answered request was counted")
        told = scraped(caller.url)["asked"]

        os.kill(killed, signal.SIGKILL)
        counts = []

        def replaced():
            sums = scraped_again(caller.url)
            counts.append(sums["asked"])
            return sums["service_workers"] == 2 and sums["http_requests_in_flight"] == 0

        until(replaced, "another worker had taken its place")
    assert min(counts) >= told
    until(lambda: scraped(caller.url)["asked"] == caller.answered, "nothing that was counted was lost")
    assert killed not in caller.ask_all()


def scraped_again(url):
    """A connection that the killed worker had accepted is reset."""
    while True:
        try:
            return scraped(url)
        except httpx2.TransportError:
            PAUSE.wait(0.02)


@pytest.mark.timeout(240)
def test_one_worker_has_the_metrics_port_and_another_takes_it_over_when_that_one_is_killed(workers):
    served = r"http://127\.0\.0\.1:\d+/metrics"
    first = workers.wait_for(served).removesuffix("/metrics")
    caller = Caller(url_of(workers))

    def told(url):
        try:
            return scraped(url)
        except httpx2.TransportError:
            return None

    until(lambda: told(first)["service_workers"] == 2, "the port told of both workers")
    for number in caller.ask_all():
        os.kill(number, signal.SIGKILL)
        if (
            until(lambda: (told(first) is None and "gone") or told(first)["service_workers"] == 2, "it settled")
            == "gone"
        ):
            break
    second = workers.wait_for(served, times=2).removesuffix("/metrics")

    assert second != first
    until(lambda: (told(second) or {}).get("service_workers") == 2, "the new port told of both workers")


@pytest.mark.timeout(240)
def test_one_signal_to_the_supervisor_changes_the_log_level_of_every_worker(workers):
    workers.send(signal.SIGUSR1)
    workers.wait_for("Log level of root is now DEBUG", times=2)

    def back():
        # Within a second it is taken for the same signal, once more.
        workers.send(signal.SIGUSR1)
        return workers.output.count("Log level of root is now INFO") >= 2

    until(back, "they were back at INFO")


@pytest.mark.timeout(240)
def test_a_level_set_at_one_worker_reaches_the_other_and_ends_in_both(workers):
    answer = httpx2.put(
        f"{url_of(workers)}/operations/log-level",
        json={"level": "DEBUG", "logger": "shop.till", "minutes": 0.05},
        timeout=SECONDS,
    )

    assert answer.status_code == 200
    workers.wait_for("Log level of shop.till is now DEBUG", times=2)
    workers.wait_for("Log level of shop.till is now INFO", times=2)


@pytest.mark.timeout(240)
def test_nothing_of_the_run_directory_is_left(workers):
    where = re.compile(rb"MAINSPRING_RUN_DIRECTORY=([^\0]+)")
    environment = Path(f"/proc/{pid(url_of(workers))}/environ").read_bytes()
    directory = Path(where.search(environment)[1].decode())
    assert {"worker-0.lock", "worker-1.lock"} <= {file.name for file in directory.iterdir()}

    assert workers.end(signal.SIGTERM) == 0

    assert not directory.exists()
