"""The proof that the suite can fail: each guard is taken away, and the rounds have to notice."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from .campaign import Plan, run
from .databases import scratch
from .guards import WEAKNESSES

MOST_ROUNDS = 40


@dataclass(frozen=True, slots=True)
class Proof:
    """What came of a bank without one guard.

    Attributes:
        weakness: Which it lacked.
        scenario: It was attacked with.
        database: It ran on.
        red: Whether the promise was found broken.
        rounds: How many that took.
    """

    weakness: str
    scenario: str
    database: str
    red: bool
    rounds: int


async def prove(databases: Sequence[str], *, seed: int) -> AsyncIterator[Proof]:
    """Take each guard away, on each database that cannot do without it."""
    for name, weakness in WEAKNESSES.items():
        for scenario, allowed in weakness.scenarios.items():
            for database in (database for database in databases if database in allowed):
                yield await _prove(name, scenario, database, seed)


async def _prove(name: str, scenario: str, database: str, seed: int) -> Proof:
    promise = WEAKNESSES[name].breaks
    with TemporaryDirectory(prefix="chaos-") as folder:
        async with scratch(database, Path(folder)) as url:
            plan = Plan(url=url, seed=seed, rounds=MOST_ROUNDS, scenarios=[scenario], weakness=name, until=promise)
            report = await run(plan, Path(folder), lambda _: None)
    red = promise in {violation.promise for violation in report.violations}
    return Proof(name, scenario, database, red, report.tallies[scenario].rounds)
