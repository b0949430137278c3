"""One worker, as its supervisor sees it."""

import asyncio
import signal
import socket
import time
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Self

from ._link import BEAT, READY, TIRED, Link


class Worker:
    """A process, and the connection to it. `Worker.start` makes one.

    Attributes:
        silence: Seconds that it has not been heard of; counted by the supervisor.
    """

    def __init__(self, process: Process, link: Link, tired: Callable[["Worker"], None]) -> None:
        self.silence = 0.0
        self._process = process
        self._link = link
        self._tired = tired
        self._began = time.monotonic()
        self._ready = asyncio.Event()
        self._end = asyncio.ensure_future(process.wait())
        link.listen(asyncio.get_running_loop(), self._hear)
        self._end.add_done_callback(lambda _: link.close())

    @property
    def is_ready(self) -> bool:
        """Whether it has said that it serves."""
        return self._ready.is_set()

    @classmethod
    async def start(
        cls,
        command: Sequence[str],
        environment: Mapping[str, str],
        listener: socket.socket,
        tired: Callable[["Worker"], None],
    ) -> Self:
        """Start a process that serves on the listener.

        Args:
            command: Gets two more arguments: the file descriptors of the listener and of the connection.
            environment: The process's.
            listener: The bound socket.
            tired: Called with the worker when it would like to be replaced.
        """
        ours, theirs = socket.socketpair()
        descriptors = (listener.fileno(), theirs.fileno())
        with theirs:
            process = await asyncio.create_subprocess_exec(
                *command,
                *map(str, descriptors),
                env=environment,
                stdin=DEVNULL,
                pass_fds=descriptors,
                # Ctrl-C goes to all processes of the terminal's group; what a worker does is the supervisor's to say.
                process_group=0,
            )
        return cls(process, Link(ours), tired)

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    @property
    def code(self) -> int | None:
        """Its exit code, or the negative number of the signal that ended it; None while it runs."""
        return self._process.returncode

    @property
    def age(self) -> float:
        """Seconds since it was started."""
        return time.monotonic() - self._began

    def say(self, word: bytes) -> None:
        """Give it an order."""
        self._link.say(word)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, if it still runs."""
        with suppress(ProcessLookupError):
            self._process.send_signal(number)

    async def ended(self, seconds: float | None = None) -> bool:
        """Wait for its end, for so long at most; whether it has ended."""
        await asyncio.wait([self._end], timeout=seconds)
        return self._end.done()

    async def settled(self, seconds: float) -> None:
        """Wait until it is ready or has ended, for so long at most."""
        ready = asyncio.ensure_future(self._ready.wait())
        await asyncio.wait([self._end, ready], timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()

    def _hear(self, word: bytes) -> None:
        self.silence = 0.0
        if word == READY:
            self._ready.set()
        elif word == TIRED:
            self._tired(self)
        else:
            assert word in {BEAT, b""}, word


def how_it_ended(code: int | None) -> str:
    """An exit code in words."""
    if code is not None and code < 0:
        with suppress(ValueError):
            return f"signal {signal.Signals(-code).name}"
    return f"exit code {code}"
