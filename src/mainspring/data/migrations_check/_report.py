"""What the check found, for a terminal, for GitHub and for machines."""

import os
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from textwrap import indent
from typing import Any

from ._check import SafetyReport
from ._findings import Finding


def as_data(report: SafetyReport) -> dict[str, Any]:
    """For JSON."""
    return {
        "checked": list(report.checked),
        "refused": [_relative(f) for f in report.refused],
        "advice": [_relative(f) for f in report.advice],
        "waived": [_relative(f) for f in report.waived],
        "unused_waivers": [asdict(one) | {"path": shown(one.path)} for one in report.unused],
    }


def annotations(report: SafetyReport) -> Iterator[str]:
    """Workflow commands, which GitHub shows beside the lines of a pull request."""
    for finding in report.findings:
        kind = "notice" if finding.waived else "error" if finding.level == "refused" else "warning"
        said = f"Waived: {finding.waived}" if finding.waived else recipe(finding)
        yield _annotation(
            kind, finding.path, finding.line, title=finding.rule, message=f"{finding.detail} {finding.why}\n{said}"
        )
    for one in report.unused:
        yield _annotation(
            "warning", one.path, one.line, title="unused-waiver", message=f"assured({one.reason!r}) waives nothing."
        )


def lines(report: SafetyReport, *, advice: bool) -> Iterator[tuple[str, str]]:
    """Text with the style of each line: `heading`, `where`, `rule`, `sql`, `code`, `dim` or none."""
    revision = None
    for finding in report.refused + (report.advice if advice else []):
        if finding.revision != revision:
            revision = finding.revision
            yield "heading", revision or "The database"
        yield from _finding(finding)
    for finding in report.waived:
        yield "dim", f"waived: {_where(finding)}  {finding.rule}: {finding.waived}"
    for one in report.unused:
        yield "rule", f"unused waiver: {shown(one.path)}:{one.line}  {one.reason}"


def recipe(finding: Finding) -> str:
    """The safe way, as numbered steps with their code."""
    parts = []
    several = len(finding.recipe) > 1
    for number, step in enumerate(finding.recipe, start=1):
        title = f"{number}. {step.title}" if several else step.title
        kind = " (revision)" if several and step.kind == "revision" else ""
        parts.append(title + kind + (f"\n{indent(step.code, '     ')}" if step.code else ""))
    return "\n".join(parts)


def summary(report: SafetyReport, *, strict: bool) -> str:
    """One line at the end."""
    count = len(report.checked)
    checked = f"{count} revision{'' if count == 1 else 's'} checked"
    parts = [f"{len(report.refused)} refused"] if report.refused else ["nothing refused"]
    if report.waived:
        parts.append(f"{len(report.waived)} waived")
    if report.advice:
        hint = "" if strict else " (see --strict)"
        parts.append(f"{len(report.advice)} {'piece' if len(report.advice) == 1 else 'pieces'} of advice{hint}")
    if report.unused:
        parts.append(f"{len(report.unused)} unused waivers")
    return f"{checked}: {', '.join(parts)}."


def shown(path: str) -> str:
    """A path as the reader would type it."""
    return os.path.relpath(path) if path and Path(path).is_relative_to(Path.cwd()) else path


def _finding(finding: Finding) -> Iterator[tuple[str, str]]:
    yield "where", f"  {_where(finding)}  {finding.operation}".rstrip()
    mark = "refused" if finding.level == "refused" else "advice"
    yield "rule" if mark == "refused" else "advice", f"    {mark}: {finding.rule}"
    if finding.sql:
        yield "sql", indent(_shortened(finding.sql), "    | ")
    yield "", f"    {finding.detail} {finding.why}"
    if finding.lock:
        yield "", f"    Lock: {finding.lock}, {finding.held}."
    yield "dim", "    Instead:"
    several = len(finding.recipe) > 1
    for number, step in enumerate(finding.recipe, start=1):
        label = f"{number}. " if several else ""
        kind = "In a revision: " if step.kind == "revision" and several else ""
        yield "", f"      {label}{kind}{step.title}"
        if step.code:
            yield "code", indent(step.code, "         ")
    yield "", ""


def _where(finding: Finding) -> str:
    line = f":{finding.line}" if finding.line else ""
    return f"{shown(finding.path)}{line}" if finding.path else "database"


def _shortened(sql: str, most: int = 8) -> str:
    found = sql.splitlines()
    return "\n".join([*found[:most], f"… {len(found) - most} lines more"] if len(found) > most else found)


def _relative(finding: Finding) -> dict[str, Any]:
    return asdict(finding) | {"path": shown(finding.path)}


def _annotation(kind: str, path: str, line: int, *, title: str, message: str) -> str:
    escaped = message.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return f"::{kind} file={shown(path)},line={max(1, line)},title={title}::{escaped}"
