"""What came of a run, as a table."""

import os
import platform
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from .campaign import Report, Tally
from .guards import WEAKNESSES
from .proofs import Proof

_FILE = Path(__file__).parent / "RESULTS.md"
_COLUMNS = (
    *("rounds", "requests", "2xx", "4xx", "503", "other 5xx", "no answer"),
    *("kills", "cuts", "effects unheard of", "violations", "seconds"),
)


def table(reports: Mapping[str, Report]) -> str:
    """Markdown, a line per scenario."""
    rows = [f"| database | scenario | {' | '.join(_COLUMNS)} |", "|---|---|" + "---:|" * len(_COLUMNS)]
    for database, report in reports.items():
        rows += [_row(database, scenario, tally) for scenario, tally in report.tallies.items()]
    total = Tally()
    for tally in (tally for report in reports.values() for tally in report.tallies.values()):
        for name in ("rounds", "kills", "cuts", "unheard", "violations", "seconds"):
            setattr(total, name, getattr(total, name) + getattr(tally, name))
        total.statuses += tally.statuses
    return "\n".join([*rows, _row("**all**", "", total)])


def proof_table(proofs: Iterable[Proof]) -> str:
    """Markdown, a line per guard, scenario and database."""
    rows = ["| without | the bank | breaks promise | found by | on | in round |", "|---|---|---:|---|---|---:|"]
    for proof in proofs:
        weakness = WEAKNESSES[proof.weakness]
        found = proof.rounds if proof.red else "**not found**"
        rows.append(
            f"| `{proof.weakness}` | {weakness.what} | {weakness.breaks} | {proof.scenario} | {proof.database} | {found} |"
        )
    return "\n".join(rows)


def write(reports: Mapping[str, Report], proofs: Iterable[Proof], *, seed: int) -> None:
    """Put both tables into RESULTS.md."""
    lines = [*_introduction(seed), "", table(reports), "", *_proof_introduction(), "", proof_table(proofs), ""]
    _FILE.write_text("\n".join(lines), encoding="utf-8")


def _proof_introduction() -> Iterator[str]:
    yield "## The proof that it can fail"
    yield ""
    yield "The same rounds with a bank that is composed without one guard; the round in which they turned red."


def _introduction(seed: int) -> Iterator[str]:
    yield "# The chaos suite"
    yield ""
    cores = os.cpu_count()
    yield f"`make chaos` on {datetime.now(UTC):%Y-%m-%d}, Python {platform.python_version()}, {cores} cores, seed {seed}."
    yield (
        "Two processes of the service on one database, each request on a connection of its own. An effect is unheard of "
        "when whoever asked first was not told: its answer was lost, or replaced by an error, after the commit. What "
        "has no answer in `kill` is mostly asked again and again while the process is being started."
    )


def _row(database: str, scenario: str, tally: Tally) -> str:
    classes = Counter[int]()
    for status, count in tally.statuses.items():
        classes[status // 100] += count
    cells = [
        tally.rounds,
        tally.statuses.total(),
        classes[2],
        classes[4],
        tally.statuses[503],
        classes[5] - tally.statuses[503],
        classes[0],
        tally.kills,
        tally.cuts,
        tally.unheard,
        tally.violations,
        round(tally.seconds),
    ]
    return f"| {database} | {scenario} | " + " | ".join(f"{cell:,}" for cell in cells) + " |"
