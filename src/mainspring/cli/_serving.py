"""Runs the server in this process."""

import asyncio
import errno
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn, override

from uvicorn import Config, Server

from mainspring.app import Application

from ._exits import fail

DEVELOPMENT = 2
"""Seconds that requests in flight get before a reload: enough for an answer; an open stream must not delay it."""
PRODUCTION = 30
"""Seconds that requests in flight get after SIGTERM; what orchestrators grant by default."""

# Longer than a proxy keeps an idle connection (nginx: 60 s, AWS load balancers: 60 s), so that it is never us who
# closes one in the moment it is used again.
_KEEP_ALIVE_SECONDS = 75


class _Server(Server):
    """uvicorn's server that says when it is ready."""

    def __init__(self, config: Config, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    @override
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            # Two programs can bind a free port, and the second of them fails when it listens. uvloop keeps quiet about
            # that, so it is done here, not earlier: before it is ready, a service refuses connections.
            for listener in sockets or ():
                listener.listen(self.config.backlog)
        except OSError as error:
            _fail_to_listen(error, self.config.host, self.config.port)
        await super().startup(sockets=sockets)
        if self.started:
            self._on_ready()


def bind(host: str, port: int) -> socket.socket:
    """The listening socket, bound before anything else is started: a taken port is known at once.

    Raises:
        typer.Exit: The address cannot be had; says what to do.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        _fail_to_listen(error, host, port)
    listener.set_inheritable(True)
    return listener


def serve_here(
    app: Application, listener: socket.socket, *, on_ready: Callable[[], None], drain_seconds: int = PRODUCTION
) -> None:
    """Serve in this process until SIGINT or SIGTERM, then return; before it is ready they end the start.

    The lifespan is entered here and not by uvicorn, so that what keeps a service from starting arrives as the exception
    it is, and so that resources are closed after a SIGTERM too: uvicorn raises it again when it is done.
    """
    config = Config(app, lifespan="off", **options_for(listener, drain_seconds))
    server = _Server(config, on_ready)
    serving = stopped = False

    async def run() -> None:
        nonlocal serving
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None

        def stop() -> None:
            nonlocal stopped
            # While the server runs it takes the signals itself, and raises them again once it has ended.
            if not serving:
                stopped = True
                loop.call_soon_threadsafe(task.cancel)

        with _on_signals(stop):
            async with app.router.lifespan_context(app):
                serving = True
                await server.serve(sockets=[listener])
                serving = False

    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        try:
            runner.run(run())
        except asyncio.CancelledError:
            if not stopped:
                raise


def options_for(listener: socket.socket, drain_seconds: int) -> dict[str, Any]:
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
        "timeout_graceful_shutdown": drain_seconds,
    }


def _fail_to_listen(error: OSError, host: str, port: int) -> NoReturn:
    if error.errno == errno.EADDRINUSE:
        fail(f"Port {port} of {host} is taken by another program. Choose another one with --port; 0 picks a free one.")
    if error.errno == errno.EACCES:
        fail(f"Port {port} of {host} is not for ordinary users. Choose one above 1023 with --port.")
    fail(f"Cannot listen on {host}, port {port}: {error.strerror}. Choose another address with --host.")


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
