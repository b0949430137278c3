"""What a running service does for its operators, beside serving: one thread that wakes a few times a second."""

import asyncio
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

from mainspring.data import Database
from mainspring.http import Metrics
from mainspring.observability import (
    RUN_DIRECTORY,
    Exposition,
    Family,
    LogContext,
    LogLevels,
    LoopWatch,
    Seat,
    get_logger,
    run_directory,
    single,
    try_lock,
)
from mainspring.settings import BootError, Problem

if TYPE_CHECKING:
    from wsgiref.simple_server import WSGIServer

    from ._create import Application

_log = get_logger(__name__)

# How old the numbers of a worker may be that another one tells; and how much of them a `kill -9` can take along.
_PUBLISH_SECONDS = 1.0
_STOP_SECONDS = 5.0


class Housekeeping:
    """Watches the event loop, follows changes of log levels, writes the metrics down for the other workers, and serves
    them on their own port.

    Args:
        app: Whose; its settings and its clock must be set.
        metrics: The stage that counts, if there is one.

    Attributes:
        levels: The log levels in force.
        exposition: What a scrape is told, where metrics are on.
    """

    def __init__(self, app: "Application", metrics: Metrics | None) -> None:
        self._app = app
        self._metrics = metrics
        settings = app.settings
        self.levels = LogLevels(app.state.clock)
        self._watch = LoopWatch(settings.slow_loop_seconds, describe=self._describe)
        self.exposition = Exposition([self._families]) if metrics is not None else None
        self._seat: Seat | None = None
        self._port = _Port(self.exposition, settings.metrics_host, settings.metrics_port)
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._signalled = False
        self._failing: set[str] = set()

    async def start(self) -> None:
        """Begin. To be called once everything else has started.

        Raises:
            BootError: The run directory cannot be used.
        """
        self._stopping.clear()
        directory = run_directory()
        if directory is not None:
            self._seat = _seat_in(directory)
            self.levels.share(directory)
            if self.exposition is not None:
                self.exposition.join(self._seat)
        self._watch.start()
        self._take_signal()
        self._thread = threading.Thread(target=self._run, name="housekeeping", daemon=True)
        self._thread.start()

    async def stop(self) -> None:
        """End, and leave the counters to the next worker."""
        self._release_signal()
        self._watch.stop()
        self._stopping.set()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join, _STOP_SECONDS)
        self._thread = None
        self.levels.restore()
        if self._seat is not None:
            with suppress(OSError):  # the run directory has gone before us
                if self.exposition is not None:
                    self.exposition.leave()
            self._seat.leave()
            self._seat = None

    def _run(self) -> None:
        # The port comes a round later: whoever only tries out whether the service starts has no use for it.
        chores = [self.levels.follow, self._publish]
        done = float("-inf")
        while not self._stopping.is_set():
            self._carefully(self._watch.look)
            if monotonic() - done >= _PUBLISH_SECONDS:
                done = monotonic()
                for chore in chores:
                    self._carefully(chore)
                chores = [self.levels.follow, self._publish, self._port.keep]
            self._stopping.wait(self._watch.look_seconds or _PUBLISH_SECONDS)
        self._port.close()

    def _carefully(self, chore: Callable[[], None]) -> None:
        try:
            chore()
        except Exception:  # noqa: BLE001 -- logged; it is done again, and neither the thread nor the service ends
            if chore.__qualname__ not in self._failing:
                _log.exception("Housekeeping failed; it is tried again, and told when it fails anew")
            self._failing.add(chore.__qualname__)
        else:
            self._failing.discard(chore.__qualname__)

    def _publish(self) -> None:
        if self._seat is not None and self.exposition is not None:
            self.exposition.publish()

    def _take_signal(self) -> None:
        # Elsewhere than in the main thread, or where somebody else has use for the signal, it is left alone.
        if signal.getsignal(signal.SIGUSR1) in {signal.SIG_DFL, signal.SIG_IGN}:
            with suppress(ValueError, RuntimeError, NotImplementedError):
                asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, self.levels.toggle)
                self._signalled = True

    def _release_signal(self) -> None:
        if self._signalled:
            asyncio.get_running_loop().remove_signal_handler(signal.SIGUSR1)
            self._signalled = False

    def _describe(self, context: LogContext) -> dict[str, Any]:
        for exchange in list(self._app.drain.in_flight):
            if exchange.log is context:
                return {"method": exchange.method, "route": exchange.route}
        return {}

    def _families(self) -> Iterator[Family]:
        app = self._app
        if self._metrics is not None:
            yield from self._metrics.families(lambda: app.drain.in_flight)
        yield from self._watch.families()
        yield from _pool_families(app.registry.find(Database))
        yield single("service_workers", "gauge", "Processes that serve, each counted by itself.", 1)
        labels = (app.name, app.version, app.settings.environment)
        names = ("name", "version", "environment")
        yield Family("service", "info", "What runs here.", names, values={labels: [1]})


class _Port:
    """The port for scrapes. Of several workers the first one has it; when that one ends, another takes it over."""

    def __init__(self, exposition: Exposition | None, host: str, port: int | None) -> None:
        self._exposition = exposition
        self._host = host
        self._port = port
        self._server: WSGIServer | None = None
        self._lock: int | None = None
        self._told = False

    def keep(self) -> None:
        """Have the port if nobody has."""
        if self._exposition is None or self._port is None or self._server is not None or not self._is_ours():
            return
        try:
            self._server = self._exposition.serve(self._host, self._port)
        except OSError as error:
            if not self._told:
                reason = f"{self._host}:{self._port}: {error.strerror or error}"
                _log.warning("The metrics port cannot be had; it is tried again every second", reason=reason)
            self._told = True
            return
        self._told = False
        _log.info("Metrics are served", url=f"http://{self._host}:{self._server.server_port}/metrics")

    def close(self) -> None:
        """Give it up."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
        if self._lock is not None:
            os.close(self._lock)
        self._server = self._lock = None

    def _is_ours(self) -> bool:
        directory = run_directory()
        if directory is not None and self._lock is None:
            self._lock = try_lock(directory / "metrics-port.lock")
            return self._lock is not None
        return True


def _seat_in(directory: Path) -> Seat:
    try:
        return Seat(directory)
    except OSError as error:
        fix = "Name a directory on a local disk that this user may write to, or unset it."
        raise BootError([Problem(RUN_DIRECTORY, f"It cannot be used: {error}.", fix, "environment")]) from error


def _pool_families(database: Database | None) -> Iterator[Family]:
    pools = list(database.pools()) if isinstance(database, Database) else []
    for name, text, attribute in (
        ("database_pool_size", "Connections that the pool keeps at most.", "size"),
        ("database_pool_checked_out", "Connections at work.", "checked_out"),
        ("database_pool_overflow", "Connections beyond the size of the pool.", "overflow"),
    ):
        family = Family(name, "gauge", text, ("pool",))
        family.values |= {(pool.name,): [float(getattr(pool, attribute))] for pool in pools}
        yield family
