"""`make chaos`, or `python -m chaos [--database …] [--rounds N] [--seed N] [--scenario NAME] [--without GUARD]`."""

import argparse
import asyncio
import random
import sys
import tempfile
from pathlib import Path

from .campaign import Plan, Report, run
from .databases import scratch
from .guards import WEAKNESSES
from .proofs import Proof, prove
from .results import proof_table, table, write
from .scenarios import SCENARIOS

DATABASES = ("sqlite", "postgresql")


def main() -> int:
    """Run what the command line asks for; 1 if a promise was broken, or if that could not have been found."""
    options = _options()
    reports = {database: asyncio.run(_run(database, options)) for database in options.database or DATABASES}
    print(table(reports))
    unproven = 0
    if options.write:
        proofs = asyncio.run(_proofs(options))
        unproven = sum(not proof.red for proof in proofs)
        print(proof_table(proofs))
        write(reports, proofs, seed=options.seed)
    broken = sum(len(report.violations) for report in reports.values())
    rounds = sum(tally.rounds for report in reports.values() for tally in report.tallies.values())
    print(f"{broken} violations in {rounds:,} rounds, seed {options.seed}")
    return 1 if broken or unproven else 0


async def _proofs(options: argparse.Namespace) -> list[Proof]:
    return [proof async for proof in prove(options.database or DATABASES, seed=options.seed)]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m chaos")
    parser.add_argument("--database", action="append", choices=DATABASES, help="both by default")
    parser.add_argument("--rounds", type=int, default=1000, help="on each database")
    parser.add_argument("--first", type=int, default=0, help="the number of the first round")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="a new one by default")
    parser.add_argument("--scenario", action="append", choices=SCENARIOS, default=[], help="all by default, in turns")
    parser.add_argument("--without", choices=WEAKNESSES, help="compose the service without a guard")
    parser.add_argument("--write", action="store_true", help="prove that it can fail, and write chaos/RESULTS.md")
    return parser.parse_args()


async def _run(database: str, options: argparse.Namespace) -> Report:
    with tempfile.TemporaryDirectory(prefix="chaos-") as name:
        folder = Path(name)
        async with scratch(database, folder) as url:
            plan = Plan(
                url=url,
                seed=options.seed,
                rounds=options.rounds,
                first=options.first,
                scenarios=options.scenario,
                weakness=options.without,
            )
            return await run(plan, folder, lambda text: print(text, flush=True))


if __name__ == "__main__":
    sys.exit(main())
