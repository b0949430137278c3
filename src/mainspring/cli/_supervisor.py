"""Keeps the workers of a service alive, and replaces them without a request being lost."""

import asyncio
import os
import signal
import socket
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from mainspring.observability import get_logger

from ._exits import FAILED
from ._link import END, NOW, RETIRE, SAME_SIGNAL_SECONDS
from ._process import Worker, how_it_ended
from ._reaping import reap

_log = get_logger(__name__)

_LOOK_SECONDS = 1.0
_GLANCE_SECONDS = 0.05
# For a worker that dies again and again: the pause doubles up to the last, and is none for one that has lived a while.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0
_LIVED_SECONDS = 30.0
# After a second signal.
_AT_ONCE_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a supervisor waits.

    Attributes:
        start: Seconds for a worker to become ready.
        silence: Seconds that a worker's event loop may stand still; infinite for ever.
        drain: Seconds for a worker to end that was told to.
    """

    start: float
    silence: float
    drain: float


class Supervisor:
    """Runs workers on one listening socket.

    Args:
        command: What a worker runs; it is given two file descriptors.
        environment: A worker's.
        listener: The socket that all share.
        workers: How many.
        patience: How long to wait for them.
        grace: Seconds after which no worker accepts any more, once the service ends.
    """

    def __init__(
        self,
        command: tuple[str, ...],
        environment: dict[str, str],
        listener: socket.socket,
        *,
        workers: int,
        patience: Patience,
        grace: float,
    ) -> None:
        self._command = command
        self._environment = environment
        self._listener = listener
        self._patience = patience
        self._grace = grace
        self._slots: list[Worker | None] = [None] * workers
        self._alive: set[Worker] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._one_at_a_time = asyncio.Lock()
        self._ending = asyncio.Event()
        self._asked = float("inf")
        self._at_once = False
        self._again = False
        self._rolling = False
        self._failure = FAILED

    async def run(self) -> int:
        """Supervise until SIGINT or SIGTERM; SIGHUP replaces all workers, one after the other.

        Returns:
            The exit code: that of the first worker if it could not start, which has said why; 1 if a worker had to be
            killed at the end.
        """
        self._take_signals()
        self._do(self._look_after())
        # One alone: what keeps it from starting keeps all of them, and is told once.
        first = await self._start()
        if first is None:
            return await self._end(failed=self._failure)
        self._slots[0] = first
        for number in range(1, len(self._slots)):
            self._do(self._fill(number))
        await self._ending.wait()
        return await self._end()

    def _take_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop)
        loop.add_signal_handler(signal.SIGHUP, self._roll_soon)
        loop.add_signal_handler(signal.SIGUSR1, self._pass_on, signal.SIGUSR1)

    def _stop(self) -> None:
        now = asyncio.get_running_loop().time()
        self._asked = min(self._asked, now)
        self._at_once = self._at_once or now - self._asked > SAME_SIGNAL_SECONDS
        self._ending.set()

    def _pass_on(self, number: signal.Signals) -> None:
        for worker in self._alive:
            if worker.is_ready:
                worker.signal(number)

    async def _start(self) -> Worker | None:
        """A new worker, once it serves; None if it did not come so far."""
        worker = await Worker.start(self._command, self._environment, self._listener, self._tired)
        self._alive.add(worker)
        self._do(self._attend(worker))
        if self._ending.is_set():
            worker.say(END)
        await worker.settled(self._patience.start)
        if worker.is_ready:
            return worker
        if worker.code is None:
            _log.error("A worker did not become ready in time", pid=worker.pid, seconds=self._patience.start)
            await self._kill(worker)
        self._failure = worker.code if worker.code and worker.code > 0 else FAILED
        return None

    async def _attend(self, worker: Worker) -> None:
        """Wait for the end of a worker, and see to it that the place is filled again."""
        await worker.ended()
        self._alive.discard(worker)
        if worker in self._slots and not self._ending.is_set():
            number = self._slots.index(worker)
            self._slots[number] = None
            _log.error(
                "A worker died", pid=worker.pid, how=how_it_ended(worker.code), lived_seconds=round(worker.age, 1)
            )
            await self._fill(number, pause=0 if worker.age > _LIVED_SECONDS else _FIRST_PAUSE)

    async def _fill(self, number: int, *, pause: float = 0) -> None:
        while not self._ending.is_set():
            await self._sleep(pause)
            worker = None if self._ending.is_set() else await self._start()
            if worker is not None and worker.code is None:  # else it died between its word and ours
                self._slots[number] = worker
                return
            pause = min(max(_FIRST_PAUSE, pause * 2), _LONGEST_PAUSE)
            if not self._ending.is_set():
                _log.error("A worker did not start; trying again", seconds=pause)

    async def _replace(self, old: Worker) -> bool:
        """Put a new worker into the place of an old one; False if there is none to be had, and the old one goes on."""
        async with self._one_at_a_time:
            if old not in self._slots or self._ending.is_set():
                return True
            new = await self._start()
            if new is None or self._ending.is_set():
                return False
            if old in self._slots:
                self._slots[self._slots.index(old)] = new
            else:  # It has died meanwhile, and its place is being filled; one too many is asked to go.
                old = new
            old.say(RETIRE)
            if not await old.ended(self._patience.drain):
                _log.error("A worker did not end in time; killed", pid=old.pid)
                await self._kill(old)
            return True

    def _tired(self, worker: Worker) -> None:
        if worker in self._slots and not self._ending.is_set():
            self._do(self._relieve(worker))

    async def _relieve(self, worker: Worker) -> None:
        _log.info("Replacing a worker that has served long enough, or was sent SIGTERM", pid=worker.pid)
        pause = _FIRST_PAUSE
        while not await self._replace(worker) and not self._ending.is_set():
            _log.error("The replacement did not start; the worker goes on", pid=worker.pid)
            await self._sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    def _roll_soon(self) -> None:
        if self._rolling:
            self._again = True
        elif not self._ending.is_set():
            self._do(self._roll())

    async def _roll(self) -> None:
        self._rolling = self._again = True
        while self._again and not self._ending.is_set():
            self._again = False
            _log.info("Replacing the workers, one after the other", workers=len(self._slots))
            for old in [worker for worker in self._slots if worker is not None]:
                if not await self._replace(old):
                    _log.error("A new worker did not start; those that were there go on", pid=old.pid)
                    break
            else:
                _log.info("Replaced the workers", pids=[worker.pid for worker in self._slots if worker])
        self._rolling = False

    async def _look_after(self) -> None:
        """Kill workers that hang, and reap what others have left to us, where we are process 1."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            for worker in list(self._alive):
                # Counted by looks and not by the clock: if we were stopped, so were they.
                worker.silence += _LOOK_SECONDS
                if worker.is_ready and worker.silence > self._patience.silence:
                    _log.error("A worker hangs; killed", pid=worker.pid, seconds=round(worker.silence))
                    worker.silence = 0
                    self._do(self._kill(worker))
            if os.getpid() == 1:
                reap({worker.pid for worker in self._alive})

    async def _kill(self, worker: Worker) -> None:
        # First a look at where it stands, on standard error.
        worker.signal(signal.SIGABRT)
        if not await worker.ended(1):
            worker.signal(signal.SIGKILL)
            await worker.ended()

    async def _end(self, *, failed: int = 0) -> int:
        self._ending.set()
        loop = asyncio.get_running_loop()
        # Once no worker accepts any more, nobody must wait in the queue of a socket that nobody looks at.
        loop.call_later(self._grace + 2, self._listener.close)
        for worker in self._alive:
            worker.say(END)
        until = loop.time() + self._patience.drain
        while self._alive and loop.time() < until and not self._at_once:  # noqa: ASYNC110 -- three conditions
            await asyncio.sleep(_GLANCE_SECONDS)
        if self._at_once:
            for worker in self._alive:
                worker.say(NOW)
            await asyncio.gather(*(worker.ended(_AT_ONCE_SECONDS) for worker in self._alive))
        left = list(self._alive)
        for worker in left:
            _log.error("A worker did not end in time; killed", pid=worker.pid)
            worker.signal(signal.SIGKILL)
            await worker.ended()
        return failed or (FAILED if left else 0)

    async def _sleep(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._ending.wait(), seconds)

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
