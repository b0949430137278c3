"""Tables for people on a terminal, aligned text in a pipe, JSON for machines."""

import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, is_dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from mainspring.settings import BootError

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
"""The option of every command whose answer a machine may read."""


def say(text: str = "") -> None:
    """One line on standard output."""
    typer.echo(text)


def bold(text: str) -> str:
    """Text that stands out on a terminal, and is itself everywhere else."""
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" or not sys.stdout.isatty()
    return text if plain else f"\x1b[1m{text}\x1b[0m"


def as_json(value: Any) -> None:
    """JSON on standard output; dataclasses become objects."""
    import json

    typer.echo(json.dumps(value, indent=2, default=_plain))


def table(columns: Sequence[str], rows: Sequence[Sequence[object]], *, title: str = "") -> None:
    """Rows under headings."""
    texts = [[_text(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():
        _rich_table(columns, texts, title)
        return
    if title:
        say(title)
    _aligned([list(columns), *texts])
    if title:
        say()


def complain(error: Exception) -> None:
    """An error's message on standard error; the report of a `BootError` is drawn on a terminal."""
    from mainspring.settings import BootError

    if isinstance(error, BootError) and sys.stderr.isatty():
        _rich_report(error)
    else:
        typer.echo(str(error), err=True)


def _rich_table(columns: Sequence[str], rows: list[list[str]], title: str) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(title=title or None, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for number, column in enumerate(columns):
        drawn.add_column(column, style="cyan" if number == 0 else "", overflow="fold")
    for row in rows:
        drawn.add_row(*map(Text, row))
    Console().print(drawn)


def _rich_report(error: "BootError") -> None:
    from rich.console import Console, Group, RenderableType
    from rich.padding import Padding
    from rich.panel import Panel
    from rich.text import Text

    parts: list[RenderableType] = []
    for number, problem in enumerate(error.problems, start=1):
        source = f"  [{problem.source}]" if problem.source else ""
        parts += [
            Text.assemble("" if number == 1 else "\n", f"{number}. ", (problem.key, "bold red"), (source, "dim")),
            Padding(Text(problem.message), (0, 0, 0, 3)),
            Padding(Text.assemble(("Fix: ", "green"), problem.fix), (0, 0, 0, 3)),
        ]
    heading = Text(str(error).partition("\n")[0])
    Console(stderr=True).print(Panel(Group(*parts), title=heading, title_align="left", border_style="red"))


def _aligned(rows: list[list[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        say("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _text(cell: object) -> str:
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, float):
        return f"{cell:.1f}"
    if isinstance(cell, tuple | list):
        return ", ".join(map(str, cell))
    # One row is one line: a driver's message may have several.
    return "" if cell is None else " ".join(str(cell).split())


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    return str(value)
