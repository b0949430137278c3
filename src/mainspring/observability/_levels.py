"""Log levels that are changed while the service runs, in one process or in all workers of a service."""

import contextlib
import logging
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import orjson

from mainspring.kernel import Clock

from ._logger import get_logger
from ._seats import locked, replace

type Level = Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]

_log = get_logger(__name__)

_FILE = "log-levels.json"
# One signal that is passed on to every worker is one change and not several.
_SAME_SIGNAL_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Override:
    """A level that holds instead of the configured one.

    Attributes:
        logger: Its name; empty for all that have no level of their own.
        level: The least severe that is written.
        until: Seconds since the epoch; None until it is taken back.
    """

    logger: str
    level: str
    until: float | None = None


class LogLevels:
    """The overrides in force. Where there is a run directory they stand in a file there, and every worker follows.

    Args:
        clock: Says when an override ends.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._file: Path | None = None
        self._seen: tuple[int, int] | None = None
        self._lock = threading.RLock()
        self._overrides: dict[str, Override] = {}
        self._toggled = 0.0
        # What the loggers had before, by name.
        self._before: dict[str, int] = {}

    @property
    def overrides(self) -> tuple[Override, ...]:
        """Those in force in this process."""
        return tuple(self._overrides.values())

    def share(self, directory: Path) -> None:
        """From now on keep the overrides in a run directory, and take over those that stand there."""
        self._file = directory / _FILE
        self.follow()

    def set(self, level: Level, *, minutes: float, logger: str = "") -> Override:
        """Change a logger's level, for all workers; it falls back by itself after so many minutes."""
        override = Override(logger, level, self._now() + timedelta(minutes=minutes).total_seconds())
        with self._changing() as held:
            held[logger] = override
        return override

    def toggle(self) -> None:
        """Switch between DEBUG and what is configured, for all workers; what SIGUSR1 does."""
        with self._changing() as held:
            if self._now() - self._toggled < _SAME_SIGNAL_SECONDS:
                return
            self._toggled = self._now()
            if held.pop("", None) is None:
                held[""] = Override("", "DEBUG")

    def follow(self) -> None:
        """Do what other workers have changed, and end what is over; to be called about every second."""
        with self._lock:
            held = self._read() if self._has_changed() else dict(self._overrides)
            self._apply(held)

    def restore(self) -> None:
        """Give every logger back the level it had."""
        with self._lock:
            self._apply({}, told=False)
            self._file = self._seen = None

    @contextlib.contextmanager
    def _changing(self) -> Iterator[dict[str, Override]]:
        with self._lock, contextlib.ExitStack() as stack:
            if self._file is not None:
                stack.enter_context(locked(self._file.with_suffix(".lock")))
            held = self._read() if self._file is not None else dict(self._overrides)
            yield held
            if self._file is not None:
                self._write(self._file, held)
            self._apply(held)

    def _apply(self, held: dict[str, Override], *, told: bool = True) -> None:
        if not held and not self._overrides:
            return
        now = self._now()
        held = {name: override for name, override in held.items() if override.until is None or override.until > now}
        before, self._overrides = self._overrides, held
        for name in before.keys() | held.keys():
            logger, override = logging.getLogger(name or None), held.get(name)
            if override == before.get(name):
                continue
            if name not in self._before:
                self._before[name] = logger.level
            logger.setLevel(self._before.pop(name) if override is None else override.level)
            if told:
                self._tell(logger, override)

    def _tell(self, logger: logging.Logger, override: Override | None) -> None:
        until = None
        if override is not None and override.until is not None:
            until = datetime.fromtimestamp(override.until, UTC)
        level = logging.getLevelName(logger.getEffectiveLevel())
        _log.warning(
            f"Log level of {logger.name} is now {level}",
            target=logger.name,
            configured=override is None,
            until=until,
        )

    def _now(self) -> float:
        return self._clock.now().timestamp()

    def _has_changed(self) -> bool:
        if self._file is None:
            return False
        try:
            status = self._file.stat()
        except OSError:
            return False
        seen, self._seen = self._seen, (status.st_ino, status.st_mtime_ns)
        return seen != self._seen

    def _read(self) -> dict[str, Override]:
        assert self._file is not None
        try:
            content = orjson.loads(self._file.read_bytes())
            self._toggled = content["toggled"]
            return {row["logger"]: Override(**row) for row in content["overrides"]}
        except (OSError, ValueError, TypeError, KeyError):
            return {}

    def _write(self, file: Path, held: dict[str, Override]) -> None:
        replace(file, orjson.dumps({"toggled": self._toggled, "overrides": list(held.values())}))
