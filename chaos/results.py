"""What came of a run, as a table."""

import os
import platform
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from .campaign import Report, Tally

_FILE = Path(__file__).parent / "RESULTS.md"
_HEAD = "| database | scenario | rounds | requests | 2xx | refused | 5xx | no answer | kills | cuts | violations | seconds |"


def table(reports: Mapping[str, Report]) -> str:
    """Markdown, a line per scenario."""
    rows = [_HEAD, "|---|---|" + "---:|" * 10]
    for database, report in reports.items():
        rows += [_row(database, scenario, tally) for scenario, tally in report.tallies.items()]
    total = Tally()
    for tally in (tally for report in reports.values() for tally in report.tallies.values()):
        for name in ("rounds", "kills", "cuts", "violations", "seconds"):
            setattr(total, name, getattr(total, name) + getattr(tally, name))
        total.statuses += tally.statuses
    return "\n".join([*rows, _row("**all**", "", total)])


def write(reports: Mapping[str, Report], *, seed: int) -> None:
    """Put the table into RESULTS.md."""
    _FILE.write_text("\n".join([*_introduction(seed), "", table(reports), ""]), encoding="utf-8")


def _introduction(seed: int) -> Iterator[str]:
    yield "# The chaos suite"
    yield ""
    yield f"`make chaos` on {datetime.now(UTC):%Y-%m-%d}, Python {platform.python_version()}, {os.cpu_count()} cores, seed {seed}."
    yield "Two processes of the service on one database, each request on a connection of its own. A refusal is a status of 4xx."


def _row(database: str, scenario: str, tally: Tally) -> str:
    classes = Counter[int]()
    for status, count in tally.statuses.items():
        classes[status // 100] += count
    cells = [
        tally.rounds,
        tally.statuses.total(),
        classes[2],
        classes[4],
        classes[5],
        classes[0],
        tally.kills,
        tally.cuts,
        tally.violations,
        round(tally.seconds),
    ]
    return f"| {database} | {scenario} | " + " | ".join(f"{cell:,}" for cell in cells) + " |"
