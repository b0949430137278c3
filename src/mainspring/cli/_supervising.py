"""Runs the server in other processes: a child that is replaced after changes, or workers that are kept alive."""

import os
import socket
import sys
import threading
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import override

from uvicorn import Config
from uvicorn.supervisors import Multiprocess
from uvicorn.supervisors.watchfilesreload import WatchFilesReload

from mainspring.observability import RUN_DIRECTORY, LogLevels

from ._exits import FAILED
from ._serving import DEVELOPMENT, PRODUCTION, options_for
from ._worker import FACTORY, LOCATION, STARTUP_FAILURE, Child


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
    config = Config(FACTORY, factory=True, reload=True, reload_dirs=[*folders], **options_for(listener, DEVELOPMENT))
    reloader = _Reloader(config, Child(location, folders), listener)
    reloader.run()
    if reloader.failed:
        code = reloader.process.exitcode or 0
        sys.exit(code if code >= 0 else FAILED)


class _Supervisor(Multiprocess):
    """Passes SIGUSR1 on through the run directory, where the workers look every second: a worker that is just starting
    would be killed by the signal itself.
    """

    def __init__(self, config: Config, sockets: list[socket.socket], directory: Path) -> None:
        super().__init__(config, sockets)
        self._levels = LogLevels()
        self._levels.share(directory)

    def handle_usr1(self) -> None:
        """Switch all workers between DEBUG and the configured level."""
        self._levels.toggle()


def serve_workers(location: str, listener: socket.socket, *, workers: int) -> None:
    """Serve in several processes; one that dies is replaced, SIGHUP replaces them one after the other.

    Raises:
        SystemExit: A worker could not start; its message says why.
    """
    os.environ[LOCATION] = location
    config = Config(FACTORY, factory=True, workers=workers, **options_for(listener, PRODUCTION))
    with TemporaryDirectory(prefix="mainspring-", ignore_cleanup_errors=True) as directory:
        os.environ[RUN_DIRECTORY] = directory
        supervisor = _Supervisor(config, [listener], Path(directory))
        supervisor.run()
    if any(process.exitcode == STARTUP_FAILURE for process in supervisor.processes):
        sys.exit(FAILED)
