"""Time as something that can be handed over, so that tests can hold it still."""

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Where code asks for the time.

    Ask a clock instead of calling `datetime.now`: expiry, schedules and audit stamps then become testable without
    waiting.
    """

    def now(self) -> datetime:
        """The current moment, timezone-aware, in UTC."""

    def monotonic(self) -> float:
        """Seconds from an arbitrary start that never run backwards: for measuring durations, not for dates."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """The current moment, timezone-aware, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds that never run backwards."""
        return time.monotonic()


class FrozenClock:
    """A clock that stands still until a test moves it.

    Args:
        at: The moment it shows. It must be timezone-aware: a naive time means something else on every machine.

    Raises:
        ValueError: `at` has no timezone.
    """

    def __init__(self, at: datetime) -> None:
        self._elapsed = 0.0
        self._now = _aware(at)

    def now(self) -> datetime:
        """The moment the clock was set to."""
        return self._now

    def monotonic(self) -> float:
        """Seconds moved since the clock was made."""
        return self._elapsed

    def advance(self, by: timedelta) -> None:
        """Move forward.

        Raises:
            ValueError: `by` is negative; `monotonic` may not run backwards.
        """
        if by < timedelta(0):
            message = f"A clock moves forward only, got {by}. Use move_to() to show an earlier date."
            raise ValueError(message)
        self._now += by
        self._elapsed += by.total_seconds()

    def move_to(self, at: datetime) -> None:
        """Show another date, earlier or later; `monotonic` only ever grows."""
        target = _aware(at)
        self._elapsed += max(0.0, (target - self._now).total_seconds())
        self._now = target


def _aware(at: datetime) -> datetime:
    if at.tzinfo is None:
        message = f"{at!r} has no timezone. Pass an aware datetime, e.g. datetime(2026, 1, 1, tzinfo=UTC)."
        raise ValueError(message)
    return at.astimezone(UTC)
