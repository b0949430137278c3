"""What a server process of its own runs: found by name, because the supervisor starts it with nothing else."""

import os
import socket
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ._banner import banner
from ._exits import clearly
from ._locate import load_app, use_app
from ._output import say

if TYPE_CHECKING:
    from mainspring.app import Application

LOCATION = "MAINSPRING_APP"
"""The environment variable through which a supervisor tells its workers which service they are."""
FACTORY = f"{__name__}:build"
"""This module's `build`, as uvicorn wants it named."""
STARTUP_FAILURE = 3
"""uvicorn's exit code for "would fail the same way again": its supervisor then stops instead of trying for ever."""


def build() -> "Application":
    """The service, with logging set up; what keeps it from being built is told and ends the process."""
    try:
        return clearly(lambda: _load(os.environ[LOCATION]))
    except SystemExit:
        sys.exit(STARTUP_FAILURE)


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

        serve_here(app, listener, on_ready=on_ready, drain_seconds=DEVELOPMENT)


def set_up_logging(app: "Application") -> None:
    """Logs in the form that the service's settings ask for."""
    from mainspring.observability import configure_logging

    form = app.settings.log_format
    configure_logging(
        level=app.settings.log_level, form="json" if form == "auto" and app.settings.is_production else form
    )


def _load(location: str) -> "Application":
    use_app(location)
    app = load_app()
    set_up_logging(app)
    return app
