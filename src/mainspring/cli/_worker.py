"""What a server process of its own runs: a worker of the supervisor, or the child of the reloader."""

import faulthandler
import os
import signal
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ._banner import banner
from ._exits import clearly
from ._locate import load_app, use_app
from ._output import say

if TYPE_CHECKING:
    from mainspring.app import Application

LOCATION = "MAINSPRING_APP"
"""The environment variable through which a supervisor tells its workers which service they are."""


def main(listener: int, end: int) -> None:
    """Serve until the supervisor, or its absence, ends this process.

    Args:
        listener: File descriptor of the bound socket.
        end: File descriptor of the connection to the supervisor.

    Raises:
        SystemExit: The service could not start; with the exit code of what was told.
    """
    # A worker that hangs is sent SIGABRT before SIGKILL, and says where every thread stands.
    faulthandler.enable()
    # These are the supervisor's; what it passes on must not end a worker that has no use for it.
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
    clearly(lambda: _work(socket.socket(fileno=listener), socket.socket(fileno=end)))


def _work(listener: socket.socket, end: socket.socket) -> None:
    app = _load(os.environ[LOCATION])
    from mainspring.observability import get_logger

    from ._link import READY, Link
    from ._serving import serve_here

    link = Link(end)

    def on_ready() -> None:
        get_logger("mainspring.cli._worker").info("Worker ready", pid=os.getpid())
        link.say(READY)

    serve_here(app, listener, on_ready=on_ready, link=link)


@dataclass
class Child:
    """What the reloader runs in its child process, made anew after each change.

    Attributes:
        location: Which service.
        watched: The folders that the reloader watches, for the banner.
        again: Whether this is not the first child, which says more.
    """

    location: str
    watched: tuple[str, ...]
    again: bool = False

    def __call__(self, sockets: list[socket.socket] | None) -> None:
        """Serve on the socket until the reloader ends this process."""
        assert sockets
        clearly(lambda: self._serve(sockets[0]))

    def _serve(self, listener: socket.socket) -> None:
        from ._serving import DEVELOPMENT, serve_here

        app = _load(self.location)

        def on_ready() -> None:
            say("  Ready again." if self.again else banner(app, listener, watched=self.watched))

        serve_here(app, listener, on_ready=on_ready, drainage=DEVELOPMENT, last=False)


def set_up_logging(app: "Application", *, shared: str | None = None) -> None:
    """Logs in the form that the service's settings ask for.

    Args:
        app: The service.
        shared: The folder of the processes that write to the same stream.
    """
    from mainspring.observability import configure_logging

    form = app.settings.log_format
    configure_logging(
        level=app.settings.log_level,
        form="json" if form == "auto" and app.settings.is_production else form,
        turns=Path(shared, "log.turns") if shared else None,
    )


def _load(location: str) -> "Application":
    use_app(location)
    app = load_app()
    from mainspring.observability import RUN_DIRECTORY

    set_up_logging(app, shared=os.environ.get(RUN_DIRECTORY))
    return app


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
