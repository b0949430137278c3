"""The rules that stand in for a language model: which there are, and what they make of a text."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from mainspring.ai._types import ToolSpec

from . import _rule_arithmetic as arithmetic
from . import _rule_dates as dates
from . import _rule_text as text_size
from ._rule import Match, Rule, accepts, asks, clauses, readable

_MOST_CALLS = 16
# Not a space: what stands on both sides of a place taken must not grow together.
_TAKEN = "\0"


def _equals(match: Match, output: dict[str, Any]) -> str:
    sign = "\u2248" if output.get("exact") is False else "="
    return f"{match.asked} {sign} {output['result']}."


def _apart(match: Match, output: dict[str, Any]) -> str:
    result = str(output["result"])
    unit = " day" if result in {"1", "-1"} else " days"
    return f"{match.asked}: {result}{unit if result.lstrip('-').isdigit() else ''}."


def _is(match: Match, output: dict[str, Any]) -> str:
    return f"{match.asked} is {output['result']}."


def _falls_on(match: Match, output: dict[str, Any]) -> str:
    return f"{match.asked} is a {output['result']}."


def _time_is(match: Match, output: dict[str, Any]) -> str:
    return f"The time in {match.asked} is {output['result']}."


# In this order: what an earlier rule has answered, a later one does not see. So a sum inside a text to be counted is
# not worked out, and the day 30 days after a date is not taken for that date.
RULES = (
    Rule(
        "text size",
        "a text's words, characters or sentences are asked for; “this sentence” means the whole message",
        "Count the words in: the quick brown fox",
        "text_statistics",
        text_size.counts,
        text_size.say,
    ),
    Rule(
        "days between dates",
        "the days between two dates are asked for",
        "How many days between 2026-01-01 and 2026-03-01?",
        "date_time",
        dates.differences,
        _apart,
    ),
    Rule(
        "date arithmetic",
        "days or weeks are added to a date or taken from it",
        "What date is 30 days after 2026-01-01?",
        "date_time",
        dates.additions,
        _is,
    ),
    Rule(
        "weekday",
        "the weekday of a date is asked for",
        "What weekday is 2026-12-25?",
        "date_time",
        dates.weekdays,
        _falls_on,
    ),
    Rule(
        "current time",
        "the time or date now is asked for, in a time zone or a city that names one; otherwise in UTC",
        "What time is it in Europe/Madrid?",
        "date_time",
        dates.times,
        _time_is,
    ),
    Rule(
        "percentage",
        "a percentage of a number is asked for",
        "What is 17 % of 2,340?",
        "calculator",
        arithmetic.percentages,
        _equals,
    ),
    Rule(
        "arithmetic",
        "a sum in digits is asked for",
        "What is 12 * (3 + 4)?",
        "calculator",
        arithmetic.calculations,
        _equals,
    ),
)


@dataclass(frozen=True, slots=True)
class Planned:
    """One rule, applied: which, where, and with which arguments its tool is called."""

    rule: Rule
    match: Match


@dataclass(frozen=True, slots=True)
class Plan:
    """What the rules make of a text.

    Attributes:
        calls: What to do, in the order of the text.
        blocked: Rules that apply and whose tool is not offered, or takes other parameters.
        uncovered: Questions that no rule is for.
        surplus: How many calls more there would be, past the most made for one message.
        unread: How many characters at the end were not searched for questions.
    """

    calls: tuple[Planned, ...]
    blocked: tuple[Rule, ...]
    uncovered: tuple[str, ...]
    surplus: int
    unread: int


def usable(tools: Iterable[ToolSpec]) -> tuple[Rule, ...]:
    """The rules whose tool is offered and takes what they pass."""
    offered = {tool.name: tool for tool in tools}
    return tuple(rule for rule in RULES if rule.tool in offered and rule.fits(offered[rule.tool].parameters))


def plan(text: str, tools: Iterable[ToolSpec]) -> Plan:
    """Decide what to call. The same text and tools give the same plan, always."""
    offered = {tool.name: tool for tool in tools}
    end = readable(text)
    found, left = _apply(text, end)
    calls, blocked = [], {}
    for planned in sorted(found, key=lambda planned: planned.match.spans[0]):
        tool = offered.get(planned.rule.tool)
        if tool and accepts(tool.parameters, planned.match.arguments):
            calls.append(planned)
        else:
            blocked[planned.rule] = True
    untouched = [left[start:stop].strip() for start, stop in clauses(text[:end]) if _TAKEN not in left[start:stop]]
    uncovered = tuple(clause for clause in untouched if asks(clause))
    surplus = max(0, len(calls) - _MOST_CALLS)
    return Plan(tuple(calls[:_MOST_CALLS]), tuple(blocked), uncovered, surplus, unread=len(left.rstrip(_TAKEN)[end:]))


def _apply(text: str, end: int) -> tuple[list[Planned], str]:
    """Where rules apply, and the text with those places blotted out."""
    found: list[Planned] = []
    left = text.replace(_TAKEN, " ")
    for rule in RULES:
        for match in list(rule.find(left, end)):
            found.append(Planned(rule, match))
            for start, stop in match.spans:
                left = left[:start] + _TAKEN * (stop - start) + left[stop:]
    return found, left
