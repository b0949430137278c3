"""The check of migrations: what would take a service down on PostgreSQL, and how to do it in steps."""

from ._check import Check, SafetyReport, Situation, Unused
from ._findings import Finding, Step
from ._report import annotations, as_data, lines, summary
from ._rules import RULES, Rule
from ._sql import ParserMissing

__all__ = [
    "RULES",
    "Check",
    "Finding",
    "ParserMissing",
    "Rule",
    "SafetyReport",
    "Situation",
    "Step",
    "Unused",
    "annotations",
    "as_data",
    "lines",
    "summary",
]
