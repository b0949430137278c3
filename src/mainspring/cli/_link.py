"""What a supervisor and a worker have to say to each other, a byte at a time over a socket."""

import socket
from asyncio import AbstractEventLoop
from collections.abc import Callable
from contextlib import suppress

# The worker to the supervisor.
READY = b"r"
"""It serves."""
BEAT = b"b"
"""Its event loop turns; once a second."""
TIRED = b"t"
"""It would like to be replaced."""

# The supervisor to the worker.
RETIRE = b"R"
"""Another one has taken over: accept nothing more, finish, end."""
END = b"E"
"""The service ends. The end of the connection says the same: nobody supervises any more."""
NOW = b"N"
"""Wait for nothing any longer."""

SAME_SIGNAL_SECONDS = 0.3
"""Signals that come so close to each other are one: process managers and terminals tell whole groups, whose members tell
each other."""


class Link:
    """One end of the connection.

    Args:
        end: The socket.
    """

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(False)
        self._end = end
        self._loop: AbstractEventLoop | None = None

    def say(self, word: bytes) -> None:
        """Send a word; safe in a signal handler. Whether the other end still listens is not our concern."""
        with suppress(OSError):
            self._end.send(word)

    def listen(self, loop: AbstractEventLoop, heard: Callable[[bytes], None]) -> None:
        """Have words handed over as they come, and an empty one when the other end is gone."""
        self._loop = loop

        def read() -> None:
            try:
                words = self._end.recv(4096)
            except BlockingIOError:
                return
            except OSError:
                words = b""
            if not words:
                loop.remove_reader(self._end)
                heard(b"")
            for word in words:
                heard(bytes([word]))

        loop.add_reader(self._end, read)

    def close(self) -> None:
        """Hang up."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.remove_reader(self._end)
        self._end.close()
