"""An application on a real socket, within the test's process."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import override

import uvicorn
from starlette.applications import Starlette

from ._lifespan import running

_START_SECONDS = 15.0
_DRAIN_SECONDS = 5


class LiveServer:
    """Where a served application listens.

    Attributes:
        host: Loopback.
        port: A free one, chosen by the system.
    """

    def __init__(self, host: str, port: int) -> None:
        self.host = host
        self.port = port

    @property
    def url(self) -> str:
        """The root, e.g. `http://127.0.0.1:49152`."""
        return f"http://{self.host}:{self.port}"


@contextmanager
def serving(app: Starlette, *, errors: list[BaseException] | None = None) -> Iterator[LiveServer]:
    """Serve an application on a free port of the loopback interface, from a thread with its own event loop.

    At the end of the block requests in flight get 5 seconds to finish, then the lifespan ends.

    Args:
        app: The application. Its resources live in the server's event loop, so a test must not use them from its own.
        errors: Takes the exceptions that no handler took.

    Raises:
        Exception: Whatever keeps the application from starting, unchanged.
        TimeoutError: It did not start within 15 seconds.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    host, port = listener.getsockname()
    ready: Future[uvicorn.Server] = Future()
    # A daemon, so that an application that never starts cannot keep the test run from ending.
    thread = threading.Thread(target=_run, args=(app, listener, ready, errors), name=f"server {port}", daemon=True)
    thread.start()
    try:
        server = ready.result(_START_SECONDS)
    except BaseException:
        listener.close()
        raise
    try:
        yield LiveServer(host, port)
    finally:
        server.should_exit = True
        thread.join()


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, ready: "Future[uvicorn.Server]") -> None:
        super().__init__(config)
        self._ready = ready

    @override
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready.set_result(self)


def _run(
    app: Starlette, listener: socket.socket, ready: "Future[uvicorn.Server]", errors: list[BaseException] | None
) -> None:
    async def serve() -> None:
        # The lifespan is run here, not by the server, which would log its failure and tell the caller nothing.
        async with running(app, errors=errors) as served:
            config = uvicorn.Config(
                served,
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=_DRAIN_SECONDS,
            )
            await _Server(config, ready).serve(sockets=[listener])

    try:
        asyncio.run(serve())
    except BaseException as error:
        if ready.done():
            raise
        ready.set_exception(error)
