"""When a worker has served long enough."""

import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from mainspring.app import Application

# Workers start together; with limits all alike they would be replaced together.
_JITTER = 0.1


@dataclass(frozen=True, slots=True)
class Limits:
    """What one worker serves before it is replaced; infinite where nothing limits it.

    Attributes:
        requests: How many requests.
        until: Until when, by `time.monotonic`.
    """

    requests: float
    until: float

    @classmethod
    def of(cls, app: "Application") -> Self:
        """By the service's settings, give or take a tenth, from now on."""
        settings = app.settings
        return cls(_about(settings.worker_max_requests), time.monotonic() + _about(settings.worker_max_lifetime))

    def reached(self, requests: int) -> bool:
        """Whether it is time."""
        return requests >= self.requests or time.monotonic() >= self.until


def _about(amount: float) -> float:
    spread = random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311 -- spreads load, guards nothing
    return amount * spread if amount else float("inf")
