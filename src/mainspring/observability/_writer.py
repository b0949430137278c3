"""Writes log lines without making a request wait for the disk or the pipe."""

import atexit
import fcntl
import io
import os
import select
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

_PATIENCE_SECONDS = 0.05
# Lines that may wait when whoever reads the pipe has stopped reading; about 40 MB.
_MOST_WAITING = 100_000
_PER_WRITE = 1_000


class LineWriter:
    """Takes lines from any thread and writes them from a thread of its own, in order and in batches.

    Handing over a line is an append; the system call is paid once per batch. What is waiting when the process exits is
    written first; what is waiting when it is killed is lost, which is at most the last 50 ms. When the reader of a pipe
    has stopped and the bound is reached, further lines are counted instead of kept: logging must not take the service
    down, and the count is written when there is room again.

    Args:
        stream: Where to. Its text layer is bypassed when it has a file descriptor.
        turns: A file by which processes that write to the same stream take turns. A pipe keeps whole only what fits
            into 4 KB; without turns, the lines of several processes end up within each other.
    """

    def __init__(self, stream: TextIO, *, turns: Path | None = None) -> None:
        self._stream = stream
        self._turns = turns.open("a") if turns is not None else None
        self._descriptor = _descriptor(stream)
        self._waiting: deque[bytes] = deque()
        self._dropped = 0
        self._at_once = False
        self._wake = threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        os.register_at_fork(after_in_child=self._forget_thread)
        atexit.register(self.flush)

    def write(self, line: bytes) -> None:
        """Hand over one line, its line break included. A stream without a file descriptor is written to at once."""
        if self._descriptor is None:
            self._stream.write(line.decode())
            return
        if len(self._waiting) >= _MOST_WAITING:
            self._dropped += 1
            return
        self._waiting.append(line)
        if self._at_once:
            self.flush()
            return
        if self._thread is None:
            self._start()
        if not self._wake.is_set():
            self._wake.set()

    def wait_for_others(self, *, wait: bool) -> None:
        """Whether lines may wait to be written together, as they do by default, or each is written at once."""
        self._at_once = not wait
        self.flush()

    def flush(self) -> None:
        """Write everything handed over so far, in the calling thread."""
        with self._lock:
            while self._waiting:
                count = min(len(self._waiting), _PER_WRITE)
                self._emit(b"".join([self._waiting.popleft() for _ in range(count)]))
            if self._dropped:
                dropped, self._dropped = self._dropped, 0
                self._emit(b'{"level":"warning","message":"Log lines were dropped","extra":{"lines":%d}}\n' % dropped)

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="log writer", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            # A moment's patience turns a burst into one system call.
            threading.Event().wait(_PATIENCE_SECONDS)
            self.flush()

    def _emit(self, text: bytes) -> None:
        try:
            with self._turn():
                while text:
                    text = text[self._written(text) :]
        except (OSError, ValueError):
            # Nobody is left to read it, and nowhere to say so.
            self._waiting.clear()

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if self._turns is None:
            yield
            return
        fcntl.flock(self._turns, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._turns, fcntl.LOCK_UN)

    def _written(self, text: bytes) -> int:
        assert self._descriptor is not None
        try:
            return os.write(self._descriptor, text)
        except BlockingIOError:
            # A full pipe that was made non-blocking, by whoever else holds it: it is a matter of waiting as well.
            room = select.poll()
            room.register(self._descriptor, select.POLLOUT)
            room.poll()
            return 0

    def _forget_thread(self) -> None:
        # A fork copies this object and not its thread.
        self._thread = None
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._waiting.clear()


def _descriptor(stream: TextIO) -> int | None:
    try:
        stream.flush()
        return stream.fileno()
    except (OSError, ValueError, io.UnsupportedOperation):
        return None
