"""`db check`: what the database lacks, what would take the service down, and where models and database differ."""

import sys
from collections.abc import Coroutine
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

import typer

from ._exits import FAILED, USAGE, fail
from ._output import as_json, say

if TYPE_CHECKING:
    from mainspring.data import Migrator, Revision
    from mainspring.data.migrations_check import SafetyReport


class Format(StrEnum):
    """How findings are said: to people, to programs, or beside the lines of a pull request."""

    text = "text"
    json = "json"
    github = "github"


_STYLES = {
    "heading": "bold",
    "where": "cyan",
    "rule": "bold red",
    "advice": "yellow",
    "sql": "dim",
    "dim": "dim",
    "": "",
}


class Runner(Protocol):
    """Runs work on the database and tells what it may meet."""

    def __call__[T](self, work: Coroutine[Any, Any, T]) -> T:
        """Its result."""


@dataclass(slots=True)
class Wanted:
    """What was asked for.

    Attributes:
        since: Only look at revisions after this one, and at no database.
        strict: Advice and unused waivers fail too.
        allow_pending: Pending migrations alone are no failure.
        format: How to say it.
        enabled: Optional rules.
        server: The server's version as a number.
    """

    since: str | None
    strict: bool
    allow_pending: bool
    format: Format
    enabled: tuple[str, ...]
    server: int | None


@dataclass(slots=True)
class Looked:
    """What was found."""

    pending: "list[Revision]" = field(default_factory=list)
    differences: list[str] = field(default_factory=list)
    safety: "SafetyReport | None" = None
    unchecked: str = ""


def examine(migrator: "Migrator", run: Runner, wanted: Wanted, *, postgresql: bool) -> None:
    """Look, tell, and end the command.

    Raises:
        typer.Exit: Something is to be done.
    """
    looked = Looked()
    if wanted.since is None:
        looked.pending = run(migrator.pending())
        looked.differences = [] if looked.pending else run(migrator.drift())
    _check(migrator, run, wanted, looked, needed=postgresql or wanted.since is not None)
    _tell(looked, wanted)
    unsafe = looked.safety is not None and not looked.safety.passes(strict=wanted.strict)
    if unsafe or looked.differences or (looked.pending and not wanted.allow_pending):
        raise typer.Exit(FAILED)


def run_round_trip(migrator: "Migrator", run: Runner) -> None:
    """Up, down and up again; tell, and end the command.

    Raises:
        typer.Exit: The schema is another one the second time, or something stays when all is undone.
    """
    try:
        differences = run(migrator.round_trip())
    except ValueError as error:
        fail(str(error), USAGE)
    for difference in differences:
        say(f"different: {difference}")
    if differences:
        raise typer.Exit(FAILED)
    say("Up, down and up again leave the same schema.")


def version_number(text: str | None) -> int | None:
    """PostgreSQL's number of a version: 140002 for `14.2`."""
    if text is None:
        return None
    try:
        major, _, minor = text.partition(".")
        return int(major) * 10_000 + int(minor or 0)
    except ValueError:
        fail(f"{text!r} is no version of PostgreSQL. Write 16, or 14.2.", USAGE)


def _check(migrator: "Migrator", run: Runner, wanted: Wanted, looked: Looked, *, needed: bool) -> None:
    try:
        looked.safety = run(migrator.safety(since=wanted.since, server=wanted.server, enabled=wanted.enabled))
    except ModuleNotFoundError as error:
        if error.name != "postgast":
            raise
        if needed:
            fail(str(error))
        # Who runs SQLite everywhere has no use for it.
        looked.unchecked = str(error)
    except ValueError as error:
        fail(str(error), USAGE)


def _tell(looked: Looked, wanted: Wanted) -> None:
    from mainspring.data.migrations_check import annotations, as_data

    if wanted.format is Format.json:
        safety = as_data(looked.safety) if looked.safety else None
        as_json({"pending": looked.pending, "differences": looked.differences, "safety": safety})
        return
    if wanted.format is Format.github:
        for line in annotations(looked.safety) if looked.safety else ():
            say(line)
        for difference in looked.differences:
            say(f"::error title=drift::{difference}")
    else:
        _tell_pending(looked)
    _tell_rest(looked, wanted)


def _tell_pending(looked: Looked) -> None:
    for waiting in looked.pending:
        say(f"pending: {waiting.id} ({waiting.message})")
    for difference in looked.differences:
        say(f"different: {difference}")


def _tell_rest(looked: Looked, wanted: Wanted) -> None:
    from mainspring.data.migrations_check import summary

    if looked.safety and wanted.format is Format.text:
        _print(looked.safety, advice=wanted.strict)
    if looked.safety and (looked.safety.checked or looked.safety.findings):
        say(summary(looked.safety, strict=wanted.strict))
    if looked.unchecked and looked.pending:
        say(f"Not checked for PostgreSQL. {looked.unchecked}")
    if looked.pending:
        say("Run `mainspring db upgrade`; the models are compared with a current database only.")
    elif looked.differences:
        say("Write a migration: `mainspring db revision -m …`.")
    elif wanted.since is None:
        say("The schema is current and agrees with the models.")


def _print(report: "SafetyReport", *, advice: bool) -> None:
    from mainspring.data.migrations_check import lines

    if not sys.stdout.isatty():
        for _, text in lines(report, advice=advice):
            say(text)
        return
    from rich.console import Console
    from rich.padding import Padding
    from rich.syntax import Syntax
    from rich.text import Text

    console = Console(highlight=False)
    for style, text in lines(report, advice=advice):
        left = len(text) - len(text.lstrip(" "))
        if style == "code":
            code = "\n".join(line[left:] for line in text.splitlines())
            highlighted = Syntax(code, "python", theme="ansi_dark", background_color="default").highlight(code)
            # Not wrapped, so that it can be copied.
            console.print(Text("\n").join(Text(" " * left) + line for line in highlighted.split("\n")), soft_wrap=True)
        elif style in {"where", "sql"} or not text:
            console.print(Text(text, style=_STYLES[style]), soft_wrap=True)
        else:
            console.print(Padding(Text(text.lstrip(" "), style=_STYLES[style]), (0, 0, 0, left), expand=False))
