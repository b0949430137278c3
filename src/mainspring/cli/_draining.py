"""uvicorn's server with an end that no client notices."""

import asyncio
import select
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import FrameType
from typing import Any, override

import uvicorn

from mainspring.app import Application
from mainspring.observability import get_logger

from ._limits import Limits
from ._link import BEAT, SAME_SIGNAL_SECONDS, TIRED, Link
from ._listening import fail_to_listen, refuse_newcomers

CLOSING_SECONDS = 4
"""What closing resources and writing the last log lines may take, after the drain."""

_log = get_logger(__name__)

_PERIOD_SECONDS = 0.05
_BEAT_SECONDS = 1.0
# For handshakes that have begun when newcomers are refused: a round trip.
_LAST_HANDSHAKES_SECONDS = 0.25
# For the first request of a connection that was accepted last, and for the answer to a WebSocket's close frame.
_GOODBYE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Drainage:
    """How long an end may take.

    Attributes:
        grace: Seconds in which requests are accepted after SIGTERM, and clients told to move over.
        timeout: Seconds that what is then in flight gets.
    """

    grace: float
    timeout: float


class Server(uvicorn.Server):
    """Drains in place of uvicorn's shutdown, which closes the listening socket and every idle connection at once: what
    arrives in that moment is reset.

    Attributes:
        on_leaving: Called when the end begins; in a signal handler.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        app: Application,
        *,
        drainage: Drainage,
        on_ready: Callable[[], None],
        last: bool = True,
        link: Link | None = None,
    ) -> None:
        super().__init__(config)
        self.on_leaving: Callable[[], None] = lambda: None
        self._drain = app.drain
        self._drainage = drainage
        self._on_ready = on_ready
        self._last = last
        self._link = link
        self._limits = Limits.of(app) if link else None
        self._beaten = 0.0
        self._asked = float("inf")

    @override
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            # Two programs can bind a free port, and the second of them fails when it listens. uvloop keeps quiet about
            # that, so it is done here, not earlier: before it is ready, a service refuses connections.
            for listener in sockets or ():
                listener.listen(self.config.backlog)
        except OSError as error:
            fail_to_listen(error, self.config.host, self.config.port)
        await super().startup(sockets=sockets)
        if self.started and not self.should_exit:
            self._on_ready()

    def leave(self, *, ending: bool, at_once: bool = False) -> None:
        """Begin the end, or, `at_once`, cut it short; safe in a signal handler.

        Args:
            ending: Whether the service ends, or only this process of it.
            at_once: Wait for nothing any longer.
        """
        self.on_leaving()
        self._drain.leave(ending=ending)
        self.should_exit = True
        self.force_exit = self.force_exit or at_once

    @override
    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self._link is None:
            self._captured_signals.append(sig)
            now = time.monotonic()
            self._asked = min(self._asked, now)
            self.leave(ending=self._last, at_once=now - self._asked > SAME_SIGNAL_SECONDS)
        else:
            # Somebody wants this one process to go, or systemd tells all of them; the supervisor knows which.
            self._link.say(TIRED)

    @override
    async def on_tick(self, counter: int) -> bool:
        if self._link is not None and time.monotonic() - self._beaten >= _BEAT_SECONDS:
            self._beaten = time.monotonic()
            self._link.say(BEAT)
            if self._limits is not None and self._limits.reached(self.server_state.total_requests):
                self._link.say(TIRED)
                self._limits = None
        return await super().on_tick(counter)

    @override
    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        _log.info("Draining", grace_seconds=self._drainage.grace, timeout_seconds=self._drainage.timeout)
        listeners = sockets or []
        if self._drain.ending:
            # Until the load balancers have noticed, requests still come, and are served.
            await self._pass(self._drainage.grace)
            for listener in listeners:
                refuse_newcomers(listener)
            await self._pass(_LAST_HANDSHAKES_SECONDS)
        for server in self.servers:
            server.close()
        for listener in listeners:
            listener.close()
        if not self._drain.ending:
            # Whoever comes now is served by another process; those that are here get the time to hear of it.
            await self._pass(self._drainage.grace, unless_alone=True)
        await self._finish()
        _log.info("Drained")

    async def _finish(self) -> None:
        """End streams, wait for what is in flight, close what is idle; cancel what is left at the bound."""
        began = quiet = time.monotonic()
        while not self.force_exit and (now := time.monotonic()) < began + self._drainage.timeout:
            self._drain.send_home()
            for connection in self._idle(newcomers=now > began + _GOODBYE_SECONDS):
                connection.shutdown()
            busy = self._drain.busy or self.server_state.tasks
            if busy:
                quiet = now
            if not (busy or self.server_state.connections) or now > quiet + 2 * _GOODBYE_SECONDS:
                break
            await self._breathe()
        await self._drain.give_up()
        for task in list(self.server_state.tasks):
            task.cancel()
        for connection in list(self.server_state.connections):
            connection.transport.close()
        # The event loop needs a turn to do what it was just told.
        await asyncio.sleep(0)

    def _idle(self, *, newcomers: bool) -> Iterator[Any]:
        """The connections on which nothing is asked: told to close, or silent since the grace began.

        What a client has sent and nobody has read yet is looked for in the socket itself, because closing would reset
        it; such a connection is left to be read. WebSockets are the pipeline's.
        """
        silent: dict[int, Any] = {}
        unread = select.poll()
        for connection in list(self.server_state.connections):
            if not hasattr(connection, "cycle") or connection.transport.is_closing():
                continue
            last: Any = connection.cycle
            if (last.response_complete if last else newcomers) and not _is_receiving(connection):
                number = connection.transport.get_extra_info("socket").fileno()
                silent[number] = connection
                unread.register(number, select.POLLIN)
        for number, _ in unread.poll(0) if silent else ():
            del silent[number]
        yield from silent.values()

    async def _pass(self, seconds: float, *, unless_alone: bool = False) -> None:
        """Let time go by, serving."""
        until = time.monotonic() + seconds
        while time.monotonic() < until and not self.force_exit:
            if unless_alone and not self.server_state.connections:
                return
            await self._breathe()

    async def _breathe(self) -> None:
        # uvicorn's own tick keeps the Date header right.
        await self.on_tick(0)
        await asyncio.sleep(_PERIOD_SECONDS)


def _is_receiving(connection: Any) -> bool:
    """Whether a request has begun to arrive whose headers are not complete."""
    last = connection.cycle
    return connection.scope is not (last.scope if last else None)
