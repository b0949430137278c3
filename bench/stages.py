"""What each stage of the pipeline costs in process: CPU time per request, without server, socket and client.

A stage's share is what all of them cost less when it is left out. Each pair is measured in a process of its own, turn by
turn: in one process the interpreter would fit its code to none of the pipelines, where a service has one.
"""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from itertools import chain
from statistics import median
from typing import Any

from fastapi import APIRouter, FastAPI

from bench.apps import chassis
from bench.harness import ROOT, machine, publish
from mainspring.app import create_app
from mainspring.http import Pipeline, exchange_of
from mainspring.kernel import Module
from mainspring.settings import Settings

type Served = Callable[[dict[str, Any], Any, Any], Awaitable[None]]

REQUESTS = 1000
EMPTY, ALL = "empty", "all"
HEADERS = [
    (b"host", b"127.0.0.1"),
    (b"user-agent", b"bench"),
    (b"accept", b"*/*"),
    (b"origin", b"https://app.example.com"),
    (b"x-forwarded-for", b"198.51.100.7"),
]
ANSWER = [(b"content-length", b"19"), (b"content-type", b"application/json")]


def main(*, rounds: int, seconds: int) -> None:
    del seconds
    rounds = max(rounds * 4, 40)
    shares = {name: float(measured_apart(name, rounds)) for name in measured_apart("list", rounds).split()}
    empty, total = (float(measured_apart(which, rounds)) for which in (EMPTY, ALL))
    routing = json.loads(measured_apart("routes", rounds))
    publish("stages", "\n".join([stage_table(shares, empty, total), route_table(routing)]))


def measured_apart(what: str, rounds: int) -> str:
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"PYTHONPATH": str(ROOT), "ENVIRONMENT": "test"}
        command = [sys.executable, "-m", "bench.stages", what, str(rounds)]
        return subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True, text=True).stdout


def measure_here(what: str, rounds: int) -> str:
    app = chassis.build()
    stages, render = list(app.stages), app.seam.render
    if what == "list":
        return " ".join(stage.name for stage in stages)
    if what == "routes":
        return json.dumps(asyncio.run(interleaved(route_cases(), rounds)))
    pipeline = Pipeline(nothing, stages=stages, render=render)
    if what == ALL:
        pair: tuple[Served, Served] = (pipeline, nothing)
    elif what == EMPTY:
        pair = (Pipeline(nothing, stages=[], render=render), nothing)
    else:
        pair = (pipeline, Pipeline(nothing, stages=[s for s in stages if s.name != what], render=render))
    took = asyncio.run(interleaved({"more": (pair[0], "/"), "less": (pair[1], "/")}, rounds))
    return str(median(more - less for more, less in zip(took["more"], took["less"], strict=True)))


def route_cases() -> dict[str, tuple[Served, str]]:
    def grown() -> APIRouter:
        top = APIRouter()
        for group in range(50):
            router = APIRouter()
            for number in range(10):
                router.add_api_route(f"/things{number}/{{id}}", endpoint, methods=["GET"])
            top.include_router(router, prefix=f"/group{group}")
        return top

    bare = FastAPI()
    bare.include_router(grown())
    ours = create_app(
        "bench",
        settings=Settings(api_prefix="", enable_docs=False, allowed_hosts=("127.0.0.1",)),
        modules=[Module(name="bench", routers=(grown(),))],
    )
    paths = {"first of 500 routes": "/group0/things0/7", "last of 500 routes": "/group49/things9/7"}
    return dict(
        chain.from_iterable(
            ((f"bare FastAPI, {name}", (bare, path)), (f"Mainspring, {name}", (ours, path)))
            for name, path in paths.items()
        )
    )


async def interleaved(cases: dict[str, tuple[Served, str]], rounds: int) -> dict[str, list[float]]:
    took: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(rounds):
        for name, (served, path) in cases.items():
            began = time.process_time()
            for _ in range(REQUESTS):
                await served(scope_of(path), receive, send)
            took[name].append((time.process_time() - began) / REQUESTS * 1e6)
    return took


async def endpoint(id: str) -> str:  # noqa: A002 -- the parameter of the path
    return id


async def nothing(scope: dict[str, Any], receive: Any, send: Any) -> None:
    exchange = exchange_of(scope)
    if exchange is not None:
        # As the index of routes leaves it.
        exchange.template = "/hello"
    await send({"type": "http.response.start", "status": 200, "headers": ANSWER})
    await send({"type": "http.response.body", "body": b'{"message":"hello"}'})


async def receive() -> dict[str, Any]:
    return {"type": "http.request", "body": b"", "more_body": False}


async def send(message: dict[str, Any]) -> None: ...


def scope_of(path: str) -> dict[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": list(HEADERS),
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 8000),
        "state": {},
    }


def stage_table(shares: dict[str, float], empty: float, total: float) -> str:
    lines = ["### Stages, in process", machine(), "", "Medians of CPU time per request; threads included.", ""]
    lines += ["| stage | µs |", "|---|--:|", f"| the empty pipeline, with deadline and error seam | {empty:.1f} |"]
    lines += [f"| {name} | {share:+.1f} |" for name, share in shares.items()]
    return "\n".join([*lines, f"| **all together** | {total:.1f} |", ""])


def route_table(took: dict[str, list[float]]) -> str:
    lines = ["### Routes, in process, all stages on", machine(), "", "| case | µs per request |", "|---|--:|"]
    return "\n".join([*lines, *(f"| {name} | {median(times):.0f} |" for name, times in took.items()), ""])


if __name__ == "__main__":
    print(measure_here(sys.argv[1], int(sys.argv[2])))
