"""Watches the event loop: how late it is, and what it is stuck in."""

import asyncio
import sys
import threading
import traceback
from bisect import bisect_left
from collections.abc import Callable, Iterator
from itertools import dropwhile
from time import monotonic
from types import FrameType
from typing import Any, NamedTuple

from ._context import LogContext, context_of
from ._families import Family, single
from ._logger import get_logger

_log = get_logger(__name__)

PERIOD_SECONDS = 0.25
"""Between two ticks of the loop."""
BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

_SAME_PLACE_SECONDS = 60.0
_MOST_PLACES = 100
_MOST_FRAMES = 30
# What calls the service's code: the loop, and FastAPI's handlers and dependencies. Beneath it nothing is of interest.
_CALLERS = frozenset(
    {"asyncio.runners", "asyncio.base_events", "asyncio.events", "fastapi.routing", "fastapi.dependencies.utils"}
)
_AROUND = (
    *("asyncio.", "uvicorn.", "starlette.", "fastapi.", "anyio.", "contextlib."),
    *("mainspring.http.", "mainspring.app.", "mainspring.testing."),
)


class _Place(NamedTuple):
    module: str
    file: str
    line: int
    function: str


class LoopWatch:
    """Measures the loop's lateness by one timer, and names what holds it up.

    The loop ticks a few times a second. `look`, called from a thread, notices that a tick is overdue, and logs the stack
    of the loop's thread while it is still stuck: one line per stretch, and at most one a minute for the same place. A
    call that keeps the interpreter's lock, such as a regular expression gone wild, keeps the thread from looking: it
    shows in the lateness, not in the log.

    Args:
        slow_seconds: How late the loop may be before it is told; 0 for never.
        describe: What else to tell of the request that is being served, by its log context.
    """

    def __init__(self, slow_seconds: float, *, describe: Callable[[LogContext], dict[str, Any]]) -> None:
        self._slow = slow_seconds
        self._describe = describe
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._thread = 0
        self._due = 0.0
        self._told_of: float | None = None
        self._looked = 0.0
        self._quiet: dict[tuple[str, int], float] = {}
        self._lag = [0.0] * (len(BOUNDS) + 2)
        self._blocked = 0

    @property
    def look_seconds(self) -> float:
        """How often to look: twice within the time that is too long, or never."""
        return min(PERIOD_SECONDS, self._slow / 2)

    def start(self) -> None:
        """Begin to tick, in the running loop."""
        self._loop, self._thread = asyncio.get_running_loop(), threading.get_ident()
        self._looked = monotonic()
        self._expect()

    def stop(self) -> None:
        """Tick no more."""
        if self._timer is not None:
            self._timer.cancel()
        self._loop = self._timer = None

    def families(self) -> Iterator[Family]:
        """The loop's lateness, and how often it was stuck."""
        lag = list(self._lag)
        yield Family(
            "event_loop_lag_seconds", "histogram", "How late the event loop was.", (), BOUNDS, values={(): lag}
        )
        yield single("event_loop_blocked", "counter", "Times that a call was seen blocking the loop.", self._blocked)

    def look(self) -> None:
        """Log what the loop is stuck in, if it is."""
        now, looked = monotonic(), self._looked
        self._looked = now
        due = self._due
        if self._loop is None or not self._slow or now - due < self._slow or due == self._told_of:
            return
        if now - looked > self.look_seconds + self._slow:
            # We were held up as well: it was the machine that stood still, or a call kept the interpreter's lock.
            return
        frame = sys._current_frames().get(self._thread)  # noqa: SLF001 -- the documented way
        if frame is not None:
            self._told_of = due
            self._blocked += 1
            self._tell(_trimmed(list(_places(frame))), now - due)

    def _expect(self) -> None:
        assert self._loop is not None
        self._due = monotonic() + PERIOD_SECONDS
        self._timer = self._loop.call_later(PERIOD_SECONDS, self._tick)

    def _tick(self) -> None:
        # The timers of loops are precise to a millisecond, and may be early by it.
        late = max(0.0, monotonic() - self._due)
        self._lag[bisect_left(BOUNDS, late)] += 1
        self._lag[-1] += late
        self._expect()

    def _tell(self, places: list[_Place], late: float) -> None:
        where = _culprit(places)
        now = monotonic()
        if self._quiet.get((where.file, where.line), now) > now:
            return
        if len(self._quiet) >= _MOST_PLACES:
            self._quiet.clear()
        self._quiet[where.file, where.line] = now + _SAME_PLACE_SECONDS
        stack = traceback.StackSummary.from_list([(p.file, p.line, p.function, None) for p in places])
        fields = {
            "where": f"{where.function} in {where.file}, line {where.line}",
            "late_seconds": round(late, 2),
            "stack": "".join(stack.format()).rstrip(),
        }
        _log.warning("A call blocks the event loop; nothing else is served meanwhile", **fields, **self._request())

    def _request(self) -> dict[str, Any]:
        task = asyncio.current_task(self._loop)
        context = context_of(task) if task is not None else None
        if context is None:
            return {}
        return {**context.fields(), **self._describe(context)}


def _places(frame: FrameType | None) -> Iterator[_Place]:
    """From the innermost out. The thread goes on meanwhile, so this touches no disk."""
    while frame is not None:
        code = frame.f_code
        name = code.co_qualname
        yield _Place(frame.f_globals.get("__name__", ""), code.co_filename, frame.f_lineno or 0, name)
        frame = frame.f_back


def _trimmed(places: list[_Place]) -> list[_Place]:
    """From the outermost in, without what stands around every call: the server, the loop, the framework."""
    places.reverse()
    called = max((index for index, place in enumerate(places) if place.module in _CALLERS), default=-1) + 1
    inside = places[called:]
    own = list(dropwhile(lambda place: f"{place.module}.".startswith(_AROUND), inside))
    return (own or inside or places)[-_MOST_FRAMES:]


def _culprit(places: list[_Place]) -> _Place:
    """The innermost place in the package that was called first, the service's own: there somebody can do something."""
    package = places[0].module.partition(".")[0]
    return next(place for place in reversed(places) if place.module.partition(".")[0] == package)
