"""The run directory: what the workers of one service tell each other, through files.

Each worker takes a numbered seat, which is a file locked for as long as the process lives. The kernel gives the lock
back when the process ends, however it ends, so nobody has to guess from process ids who is still there.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

RUN_DIRECTORY = "MAINSPRING_RUN_DIRECTORY"
"""The environment variable that names the run directory; `mainspring serve` sets it for its workers."""

_MOST_SEATS = 4096


def run_directory() -> Path | None:
    """Where this process meets the other workers of its service; None when it is alone."""
    named = os.environ.get(RUN_DIRECTORY)
    return Path(named) if named else None


class Note(NamedTuple):
    """What was last written at a seat, and whether its writer is still there."""

    alive: bool
    content: bytes


class Seat:
    """A worker's place in the run directory; the lowest that is free.

    What the last one on the seat has written stays readable until `write`.

    Args:
        directory: Is made if missing, for this user only.

    Raises:
        OSError: The directory cannot be used.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._directory = directory
        for number in range(_MOST_SEATS):
            lock = try_lock(self._lock_of(number))
            if lock is not None:
                self.number, self._lock = number, lock
                return
        raise OSError(f"All {_MOST_SEATS} seats in {directory} are taken.")

    def read(self) -> bytes:
        """What stands written at this seat."""
        return self._read(self.number)

    def write(self, content: bytes) -> None:
        """Replace what stands written, all at once."""
        replace(self._file_of(self.number), content)

    def others(self) -> Iterator[Note]:
        """What stands written at the other seats."""
        # By the locks, which stay as they are: a listing may miss a file that is replaced at that moment.
        for file in sorted(self._directory.glob("worker-*.lock")):
            number = int(file.stem.removeprefix("worker-"))
            if number != self.number:
                # Asked before reading: whoever takes the seat in between has already taken over what it held.
                alive = self._is_taken(number)
                yield Note(alive, self._read(number))

    def leave(self) -> None:
        """Give the seat back; what was written stays."""
        os.close(self._lock)

    def _is_taken(self, number: int) -> bool:
        lock = try_lock(self._lock_of(number), shared=True)
        if lock is None:
            return True
        os.close(lock)
        return False

    def _read(self, number: int) -> bytes:
        try:
            return self._file_of(number).read_bytes()
        except FileNotFoundError:
            return b""

    def _file_of(self, number: int) -> Path:
        return self._directory / f"worker-{number}.json"

    def _lock_of(self, number: int) -> Path:
        return self._directory / f"worker-{number}.lock"


def try_lock(file: Path, *, shared: bool = False) -> int | None:
    """Lock a file, made if missing; None if somebody holds it. To be given back by closing the descriptor."""
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Hold a file's lock within the block, waiting for it as long as it takes: holders only read and write a line."""
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def replace(file: Path, content: bytes) -> None:
    """Write a file so that readers find the old content or the new, never a part."""
    draft = file.with_suffix(f".{os.getpid()}.draft")
    draft.write_bytes(content)
    draft.replace(file)
