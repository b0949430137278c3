"""Runs rounds and judges each."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from time import monotonic

from .guards import WEAKNESSES
from .journal import Effect, Violation
from .ledger import Ledger, examine, open_accounts, open_ledger, prepare
from .processes import Cluster
from .proxy import Proxy
from .rounds import Round
from .scenarios import ONLY_WITH_CONNECTIONS, SCENARIOS

_HUNG_SECONDS = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be run.

    Attributes:
        url: An empty database.
        seed: Of all chance.
        rounds: How many.
        first: The number of the first one; with `rounds=1`, the one to repeat.
        scenarios: They take turns; all that the database allows by default.
        weakness: The guard that the service is composed without.
        until: End with the round that finds this promise broken.
    """

    url: str
    seed: int
    rounds: int
    first: int = 0
    scenarios: Sequence[str] = ()
    weakness: str | None = None
    until: int | None = None

    @property
    def turns(self) -> Sequence[str]:
        """The scenarios, in order."""
        allowed = [name for name in SCENARIOS if not self.is_file or name not in ONLY_WITH_CONNECTIONS]
        return [name for name in self.scenarios or allowed if name in allowed]

    @property
    def is_file(self) -> bool:
        """Whether the database is SQLite's."""
        return self.url.startswith("sqlite")


@dataclass(slots=True)
class Tally:
    """What came of the rounds of one scenario.

    Attributes:
        rounds: How many there were.
        kills: Processes killed.
        cuts: Connections to the database that were cut.
        unheard: Effects of which whoever asked first was not told.
        violations: Promises broken.
        seconds: It took.
        statuses: How often each came; 0 is no answer.
    """

    rounds: int = 0
    kills: int = 0
    cuts: int = 0
    unheard: int = 0
    violations: int = 0
    seconds: float = 0.0
    statuses: Counter[int] = field(default_factory=Counter)


@dataclass(slots=True)
class Report:
    """What came of a plan.

    Attributes:
        tallies: By scenario.
        violations: All of them.
    """

    tallies: dict[str, Tally] = field(default_factory=dict)
    violations: list[Violation] = field(default_factory=list)


async def run(plan: Plan, folder: Path, tell: Callable[[str], None]) -> Report:
    """Run a plan.

    Args:
        plan: What.
        folder: Takes the logs of the processes.
        tell: Gets each violation in words, with what is needed to replay it.
    """
    report = Report({name: Tally() for name in plan.turns})
    if not plan.turns:
        return report
    effects: dict[str, Effect] = {}
    keys = WEAKNESSES[plan.weakness].keys if plan.weakness else True
    async with _bank(plan, folder) as (cluster, ledger, proxy):
        for number in range(plan.first, plan.first + plan.rounds):
            scenario = plan.turns[number % len(plan.turns)]
            chance = Random(f"{plan.seed}/{scenario}/{number}")
            round_ = Round(scenario, number, chance, cluster=cluster, ledger=ledger, proxy=proxy, keys=keys)
            await _play(round_, plan, report, tell)
            effects |= round_.journal.effects
            if plan.until in {violation.promise for violation in report.violations}:
                return report
        await _look_back(ledger, effects, report, tell)
    return report


@asynccontextmanager
async def _bank(plan: Plan, folder: Path) -> AsyncIterator[tuple[Cluster, Ledger, Proxy | None]]:
    guards = WEAKNESSES[plan.weakness].guards if plan.weakness else None
    async with AsyncExitStack() as stack:
        ledger = await open_ledger(plan.url)
        stack.push_async_callback(ledger.close)
        await prepare(ledger, references=guards.references if guards else True)
        proxy = None if plan.is_file else await stack.enter_async_context(Proxy(plan.url))
        url = proxy.url if proxy else plan.url
        yield await stack.enter_async_context(Cluster(url, folder, weakness=plan.weakness)), ledger, proxy


async def _play(round_: Round, plan: Plan, report: Report, tell: Callable[[str], None]) -> None:
    began = monotonic()
    await open_accounts(round_.ledger, round_.accounts, round_.counter)
    try:
        async with asyncio.timeout(_HUNG_SECONDS):
            await SCENARIOS[round_.scenario](round_)
    except Exception as error:
        error.add_note(f"{round_.name} did not come to its end; replay: {_replay(round_, plan)}")
        raise
    findings = await examine(round_.ledger, f"{round_.name}.")
    found = list(round_.journal.violations(findings))
    tally = report.tallies[round_.scenario]
    tally.rounds += 1
    tally.kills += round_.journal.kills
    tally.cuts += round_.journal.cuts
    tally.unheard += sum(
        effect.was_unheard(findings.stored.get(effect.ref, [])) for effect in round_.journal.effects.values()
    )
    tally.violations += len(found)
    tally.statuses += round_.journal.statuses
    tally.seconds += monotonic() - began
    report.violations += found
    if found:
        tell(_told(round_, found, plan))


def _told(round_: Round, found: Sequence[Violation], plan: Plan) -> str:
    return "\n".join(
        [
            f"{round_.name}: {len(found)} violations, seed {plan.seed}",
            *(f"  promise {violation.promise}: {violation.what}" for violation in found),
            f"  replay: {_replay(round_, plan)}",
            *(f"    {line}" for line in round_.journal.lines()),
            *(f"    log of {m.port}: {line}" for m in round_.members for line in m.output().splitlines()[-5:]),
        ]
    )


def _replay(round_: Round, plan: Plan) -> str:
    database = "sqlite" if plan.is_file else "postgresql"
    which = f"--scenario {round_.scenario} --first {round_.number} --rounds 1"
    without = f" --without {plan.weakness}" if plan.weakness else ""
    return f"python -m chaos --database {database} --seed {plan.seed} {which}{without}"


async def _look_back(ledger: Ledger, effects: dict[str, Effect], report: Report, tell: Callable[[str], None]) -> None:
    """Look at all rounds once more: what a request did long after its client had gone is found here."""
    found = await examine(ledger, "")
    late = [Violation(2, broken) for broken in found.broken]
    late += [v for effect in effects.values() for v in effect.violations(found.stored.get(effect.ref, []))]
    known = set(report.violations)
    late = [violation for violation in late if violation not in known]
    if late:
        report.violations += late
        tell("\n".join(["At the end:", *(f"  promise {v.promise}: {v.what}" for v in late)]))
