"""When to try again: full-jitter backoff, the server's own wish first, and an end to it."""

import random
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from math import isfinite
from time import monotonic

_CAP = 8.0


class Attempts:
    """How often and for how long one call may be tried.

    Args:
        most: Attempts in all.
        deadline: Seconds from now after which none is started.
        base: Seconds that the first wait has at most; it doubles each time, up to 8. The wait is random between
            nothing and that (full jitter), so that clients that failed together do not come back together.
    """

    def __init__(self, *, most: int, deadline: float, base: float) -> None:
        self._most = most
        self._base = base
        self._ends = monotonic() + deadline
        self._made = 0

    def wait(self, wish: float | None = None) -> float | None:
        """Seconds to wait before the next attempt, or None when it is time to give up.

        Args:
            wish: Seconds the server asked for; waited in full, or not at all where it is past the deadline.
        """
        self._made += 1
        if self._made >= self._most:
            return None
        bound = min(_CAP, self._base * 2 ** (self._made - 1))
        wait = random.uniform(0, bound) if wish is None else wish  # noqa: S311 -- spreads load, guards nothing
        return wait if monotonic() + wait < self._ends else None


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds the server asks for: `retry-after-ms` (a custom of model servers), or `Retry-After` in either form of
    RFC 9110 section 10.2.3. None where it asks for nothing, or for something unreadable.
    """
    for name, unit in (("retry-after-ms", 1000), ("retry-after", 1)):
        with suppress(KeyError, ValueError):
            seconds = float(headers[name]) / unit
            return max(0.0, seconds) if isfinite(seconds) else None
    try:
        moment = parsedate_to_datetime(headers["retry-after"])
    except (KeyError, ValueError):
        return None
    return max(0.0, (moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
