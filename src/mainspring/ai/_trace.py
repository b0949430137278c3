"""The book-keeping of a run: numbers events, opens and closes steps, adds up tokens."""

import asyncio
from dataclasses import dataclass
from itertools import count
from time import perf_counter
from typing import Any

from ._events import RunEvent, Step, StepCompleted, StepKind, StepStarted
from ._types import Usage

# Events made ahead of a slow consumer; then the run waits for it.
_READ_AHEAD = 64


@dataclass(frozen=True, slots=True)
class _Opened:
    kind: StepKind
    name: str
    request: dict[str, Any]
    began: float


class Trace:
    """One run's steps and events. Only the task that runs the agent writes to it, so events keep their order."""

    def __init__(self) -> None:
        self.events: asyncio.Queue[RunEvent] = asyncio.Queue(_READ_AHEAD)
        self.steps: list[Step] = []
        self._opened: dict[int, _Opened] = {}
        self._seq = count(1)
        self._began = perf_counter()

    @property
    def milliseconds(self) -> float:
        """Since the run began."""
        return (perf_counter() - self._began) * 1000

    @property
    def usage(self) -> Usage:
        """The sum over all model steps; None counts where any step's are not known."""
        usages = [step.usage for step in self.steps if step.usage]
        return sum(usages[1:], usages[0]) if usages else Usage()

    @property
    def known_tokens(self) -> int:
        """The tokens that somebody reported: a lower bound of what was used."""
        usages = [step.usage for step in self.steps if step.usage]
        return sum((usage.input_tokens or 0) + (usage.output_tokens or 0) for usage in usages)

    def next(self) -> int:
        """The number of the next event."""
        return next(self._seq)

    async def emit(self, event: RunEvent) -> None:
        """Hand an event to the consumer; waits while it is far behind."""
        await self.events.put(event)

    async def open(self, kind: StepKind, name: str, request: dict[str, Any]) -> int:
        """Begin a step and give its number."""
        number = len(self.steps) + len(self._opened) + 1
        self._opened[number] = _Opened(kind, name, request, perf_counter())
        await self.emit(StepStarted(self.next(), number, kind, name))
        return number

    async def close(
        self,
        number: int,
        response: dict[str, Any] | None,
        *,
        name: str | None = None,
        usage: Usage | None = None,
        error: str | None = None,
        milliseconds: float | None = None,
    ) -> None:
        """End a step. A name given here is more exact than that it was opened with."""
        opened = self._opened.pop(number)
        if opened.kind == "model" and usage is None:
            usage = Usage()
        took = (perf_counter() - opened.began) * 1000 if milliseconds is None else milliseconds
        step = Step(number, opened.kind, name or opened.name, opened.request, response, usage, took, error)
        self.steps.append(step)
        await self.emit(StepCompleted(self.next(), number, step))

    async def abandon(self, reason: str) -> None:
        """End every step still open, as failed."""
        for number in sorted(self._opened):
            await self.close(number, None, error=reason)
