"""Runs the server in this process."""

import asyncio
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import Any, Literal

from uvicorn import Config

from mainspring.app import Application
from mainspring.observability import flush_logs, get_logger

from ._draining import CLOSING_SECONDS, Drainage, Server
from ._exits import FAILED
from ._link import END, NOW, RETIRE, TIRED, Link

DEVELOPMENT = Drainage(grace=0, timeout=2)
"""A reload waits for an answer, but an open stream must not delay it."""

# Longer than a proxy keeps an idle connection (nginx: 60 s, AWS load balancers: 60 s), so that it is never us who
# closes one in the moment it is used again.
_KEEP_ALIVE_SECONDS = 75

_log = get_logger(__name__)


def drainage_of(app: Application) -> Drainage:
    """How long an end may take, by the service's settings."""
    return Drainage(grace=app.settings.drain_grace, timeout=app.settings.drain_timeout_seconds)


def serve_here(
    app: Application,
    listener: socket.socket,
    *,
    on_ready: Callable[[], None],
    drainage: Drainage | None = None,
    last: bool = True,
    link: Link | None = None,
) -> None:
    """Serve in this process until SIGINT or SIGTERM, or the supervisor's word, then drain and return.

    Before it is ready they end the start. The second one ends it without waiting for anybody.

    The lifespan is entered here and not by uvicorn, so that what keeps a service from starting arrives as the exception
    it is, and so that resources are closed after a SIGTERM too: uvicorn raises it again when it is done.

    Args:
        app: The service.
        listener: Where it answers; bound, not yet listening.
        on_ready: Called once it does.
        drainage: How long its end may take; the settings' by default.
        last: Whether the service ends with this process; False where another one takes the socket over.
        link: To the supervisor, in a worker, which then takes its orders from there and not from signals.
    """
    drainage = drainage or drainage_of(app)
    config = Config(app, lifespan="off", **options_for(listener))
    server = Server(config, app, drainage=drainage, on_ready=on_ready, last=last, link=link)
    phase: Literal["starting", "serving", "closing"] = "starting"
    stopped = False

    async def run() -> None:
        nonlocal phase
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None

        def stop() -> None:
            nonlocal stopped
            # While the server runs it takes the signals itself, and raises them again once it has ended.
            if phase != "serving":
                stopped = True
                loop.call_soon_threadsafe(task.cancel)

        def obey(word: bytes) -> None:
            if word in {RETIRE, END, NOW, b""}:
                server.leave(ending=word != RETIRE, at_once=word == NOW)
                if phase == "starting" or word == NOW:
                    stop()

        if link is not None:
            link.listen(loop, obey)
        with _on_signals(stop if link is None else partial(link.say, TIRED)):
            async with app.router.lifespan_context(app):
                phase = "serving"
                await server.serve(sockets=[listener])
                phase = "closing"

    with _ending_at_latest(server, drainage), asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        try:
            runner.run(run())
        except asyncio.CancelledError:
            if not stopped:
                raise


def options_for(listener: socket.socket) -> dict[str, Any]:
    """What every server is run with."""
    host, port, *_ = listener.getsockname()
    return {
        "host": host,
        "port": port,
        "log_config": None,
        "access_log": False,
        # The pipeline does these itself, for whatever server runs the application.
        "proxy_headers": False,
        "server_header": False,
        "timeout_keep_alive": _KEEP_ALIVE_SECONDS,
    }


@contextmanager
def _ending_at_latest(server: Server, drainage: Drainage) -> Iterator[None]:
    """Bound the end as a whole: a handler that blocks the event loop, a thread that nobody can cancel or a resource that
    does not close must not leave it to the orchestrator to kill us, with the log lines that are still in memory.
    """
    leaving, ended = threading.Event(), threading.Event()

    def watch() -> None:
        leaving.wait()
        if not ended.wait(drainage.grace + drainage.timeout + CLOSING_SECONDS):
            _log.error("The service did not come to its end in time; gave it up")
            flush_logs()
            os._exit(FAILED)

    server.on_leaving = leaving.set
    # Before there is need of it: a thread must not be started by a signal handler.
    threading.Thread(target=watch, name="end watch", daemon=True).start()
    try:
        yield
    finally:
        ended.set()
        leaving.set()


@contextmanager
def _on_signals(stop: Callable[[], None]) -> Iterator[None]:
    def handle(_: int, __: FrameType | None) -> None:
        stop()

    kept = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)
