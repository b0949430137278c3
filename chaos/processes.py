"""The service's processes: forked from one that has imported everything, so that a killed one is back in a moment."""

import asyncio
import multiprocessing
import os
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Self

_CONTEXT = multiprocessing.get_context("forkserver")
_START_SECONDS = 40
_TAIL = 4000


def serve(url: str, weakness: str | None, log: str, pipe: Connection) -> None:
    """Serve the bank until killed; says on which port.

    Args:
        url: Its database.
        weakness: The guard that it is composed without, if any.
        log: The file that takes what it prints.
        pipe: Takes the port; its end is the end of the process.
    """
    from mainspring.settings import Settings  # noqa: PLC0415 -- in the child; the parent may have no need of it
    from mainspring.testing import serving  # noqa: PLC0415

    from .guards import FULL, WEAKNESSES  # noqa: PLC0415
    from .service import build  # noqa: PLC0415

    out = os.open(log, os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    os.dup2(out, 1)
    os.dup2(out, 2)
    settings = Settings(environment="test", database_url=url, metrics_enabled=False, log_level="WARNING")
    guards = WEAKNESSES[weakness].guards if weakness else FULL
    with serving(build(settings, guards)) as server:
        pipe.send(server.port)
        # Nothing ever comes, but the end of a parent that could not clean up.
        with suppress(EOFError):
            pipe.recv()


class Member:
    """One process that serves.

    Attributes:
        port: Where it listens, another one after each start; 0 while it does not.
        started: Whether there is a process.
    """

    def __init__(self, name: str, url: str, weakness: str | None, folder: Path) -> None:
        self.port = 0
        self.started = False
        self._log = folder / f"{name}.log"
        self._arguments = (url, weakness, str(self._log))

    async def start(self) -> None:
        """Until it listens.

        Raises:
            RuntimeError: It does not; says what it printed.
        """
        self._pipe, there = _CONTEXT.Pipe()
        self._process = _CONTEXT.Process(target=serve, args=(*self._arguments, there), daemon=True)
        # In threads, because the first one waits for the imports.
        await asyncio.to_thread(self._process.start)
        self.started = True
        there.close()
        try:
            self.port = await asyncio.to_thread(_first, self._pipe)
        except (EOFError, TimeoutError) as error:
            raise RuntimeError(f"The service did not start: {error!r}\n{self.output()}") from error

    def kill(self) -> None:
        """SIGKILL."""
        self.port = 0
        self._process.kill()

    async def ended(self) -> None:
        """Until the system has buried it."""
        await asyncio.to_thread(self._process.join)
        self.started = False
        self._pipe.close()

    def output(self) -> str:
        """The last of what it printed."""
        return self._log.read_text(errors="replace")[-_TAIL:] if self._log.exists() else ""


def _first(pipe: Connection) -> int:
    if not pipe.poll(_START_SECONDS):
        raise TimeoutError(f"nothing within {_START_SECONDS} s")
    port: int = pipe.recv()
    return port


class Cluster:
    """The processes of one service on one database.

    Args:
        url: The database.
        folder: Takes their logs.
        weakness: The guard that they are composed without, if any.
        size: How many there are.
    """

    def __init__(self, url: str, folder: Path, *, weakness: str | None = None, size: int = 2) -> None:
        _CONTEXT.set_forkserver_preload(["chaos.service", "mainspring.testing._server"])
        self.members = [Member(f"member-{number}", url, weakness, folder) for number in range(size)]

    async def __aenter__(self) -> Self:
        try:
            await asyncio.gather(*(member.start() for member in self.members))
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        for member in self.members:
            if member.started:
                member.kill()
                await member.ended()
