"""Runs the server in other processes: a child that is replaced after changes, or workers that are kept alive."""

import asyncio
import os
import socket
import sys
import tempfile
import threading
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess
from typing import override

from uvicorn import Config
from uvicorn.supervisors.watchfilesreload import WatchFilesReload

from mainspring.app import Application
from mainspring.observability import RUN_DIRECTORY

from ._draining import CLOSING_SECONDS
from ._exits import FAILED
from ._serving import drainage_of, options_for
from ._supervisor import Patience, Supervisor
from ._worker import LOCATION, Child, set_up_logging

# Imports, migrations and resources together; each resource has a bound of its own.
_START_SECONDS = 120


class _Reloader(WatchFilesReload):
    """Ends when the service cannot start at all; once a change was made, a failure waits for the next one.

    Attributes:
        failed: Whether the first child ended by itself.
    """

    def __init__(self, config: Config, child: Child, listener: socket.socket) -> None:
        super().__init__(config, child, [listener])
        self.failed = False
        self._child = child
        self._replaced: SpawnProcess | None = None

    @override
    def startup(self) -> None:
        super().startup()
        self._attend(self.process)

    @override
    def restart(self) -> None:
        self._child.again = True
        self._replaced = self.process
        super().restart()
        self._attend(self.process)

    def _attend(self, process: SpawnProcess) -> None:
        # The watcher wakes up for changes only, so somebody else has to notice that a child has ended.
        threading.Thread(target=self._notice_end, args=(process,), daemon=True).start()

    def _notice_end(self, process: SpawnProcess) -> None:
        wait([process.sentinel])
        if process is self._replaced or self.should_exit.is_set():
            return
        if self._replaced is None:
            self.failed = True
            self.should_exit.set()
        else:
            sys.stderr.write("The service is not running. It starts again after the next change.\n")


def serve_reloading(location: str, listener: socket.socket, *, folders: tuple[str, ...]) -> None:
    """Serve in a child process that is replaced when a source file changes.

    Raises:
        SystemExit: The service did not start; with the exit code of the process that told why.
    """
    config = Config(location, reload=True, reload_dirs=[*folders], **options_for(listener))
    reloader = _Reloader(config, Child(location, folders), listener)
    reloader.run()
    if reloader.failed:
        code = reloader.process.exitcode or 0
        sys.exit(code if code >= 0 else FAILED)


def serve_workers(app: Application, location: str, listener: socket.socket, *, workers: int) -> int:
    """Serve in several processes; one that dies is replaced, SIGHUP replaces them one after the other.

    Returns:
        The exit code: 0 after SIGTERM or SIGINT; that of the first worker if it could not start, which has said why;
        1 if a worker had to be killed at the end.
    """
    drainage = drainage_of(app)
    with tempfile.TemporaryDirectory(prefix="mainspring-", ignore_cleanup_errors=True) as shared:
        set_up_logging(app, shared=shared)
        supervisor = Supervisor(
            (sys.executable, "-m", "mainspring.cli._worker"),
            os.environ | {LOCATION: location, RUN_DIRECTORY: shared},
            listener,
            workers=workers,
            patience=Patience(
                start=_START_SECONDS,
                silence=app.settings.worker_timeout or float("inf"),
                # A worker ends itself within these; the rest is for the machine being slow.
                drain=drainage.grace + drainage.timeout + CLOSING_SECONDS + 2,
            ),
            grace=drainage.grace,
        )
        return asyncio.run(supervisor.run())
