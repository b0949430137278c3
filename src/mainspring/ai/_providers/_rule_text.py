"""Finds questions about a text's size, and which text is meant."""

import re
from collections.abc import Iterator
from typing import Any

from ._rule import Match

_MEASURE = r"(?:words?|characters?|letters?|sentences?|lines?|paragraphs?)"
_SEVERAL = rf"{_MEASURE}(?:(?:\s*,\s*|\s+and\s+|\s+or\s+)(?:the\s+)?{_MEASURE})*"
_ASKED = re.compile(
    rf"\b(?:how\s+many|count(?:\s+up)?(?:\s+the)?(?:\s+number\s+of)?|(?:the\s+)?number\s+of)\s+(?P<several>{_SEVERAL})\b"
    rf"|\b(?P<one>{_MEASURE})\s+count\b",
    re.IGNORECASE,
)
_EACH = re.compile(_MEASURE, re.IGNORECASE)
_QUOTED = re.compile(
    r"\"([^\"]+)\"|“([^”]+)”|«([^»]+)»|`([^`]+)`|(?<!\w)'([^'\n]+)'(?!\w)|(?<!\w)\u2018([^\u2019]+)\u2019(?!\w)"
)
_TO_COLON = re.compile(r"[^.?!:\n]*:(?:\s+|(?=[\"“«`'\u2018]))(?=\S)")
_TO_QUOTE = re.compile(r"[^.?!\n\"“«`]*?(?=[\"“«`]|(?<!\w)['\u2018])")
_THIS = re.compile(
    r"[^.?!\n]*?\b(?:(?:this|my)\s+(?:whole\s+|entire\s+)?(?:sentence|text|message|question|line|input|prompt|request)\b"
    r"|this\s*(?:[.?!]|$))",
    re.IGNORECASE,
)
_SHOWN = 80


def counts(text: str, end: int) -> Iterator[Match]:
    """Where somebody asks how long a text is.

    The text meant is, in this order: what follows a colon (all of it, or the quotation it begins with), a quotation in
    the same sentence, a quotation before, and for `this sentence` everything the user wrote.
    """
    for asked in _ASKED.finditer(text, 0, end):
        meant = _meant(text, asked)
        if meant is None:
            continue
        counted, span = meant
        several = asked["several"] or asked["one"]
        measures = tuple(dict.fromkeys(word.lower().rstrip("s") + "s" for word in _EACH.findall(several)))
        name = f"“{_short(counted)}”" if span else f"Your whole message (“{_short(counted)}”)"
        spans = (asked.span(), span) if span else (asked.span(),)
        yield Match(spans, name, {"text": counted}, measures)
        if span and span[1] == len(text):
            return


def say(match: Match, output: dict[str, Any]) -> str:
    """The numbers asked for, as one sentence."""
    known = [_counted(measure, output[measure]) for measure in match.measures if measure in output]
    unknown = [measure for measure in match.measures if measure not in output]
    sentences = [f"{match.asked} has {_listed(known)}."] if known else []
    if unknown:
        sentences.append(f"The tool does not count {_listed(unknown)}.")
    return " ".join(sentences)


def _meant(text: str, asked: re.Match[str]) -> tuple[str, tuple[int, int] | None] | None:
    if colon := _TO_COLON.match(text, asked.end()):
        quoted = _QUOTED.match(text, colon.end())
        return _inside(quoted) if quoted else (text[colon.end() :].strip(), (colon.end(), len(text)))
    to_quote = _TO_QUOTE.match(text, asked.end())
    if to_quote and (quoted := _QUOTED.match(text, to_quote.end())):
        return _inside(quoted)
    before = list(_QUOTED.finditer(text, 0, asked.start()))
    if before:
        return _inside(before[-1])
    return (text.strip(), None) if _THIS.match(text, asked.end()) else None


def _inside(quoted: re.Match[str]) -> tuple[str, tuple[int, int]]:
    return next(group for group in quoted.groups() if group is not None), quoted.span()


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN else f"{line[: _SHOWN - 1]}…"


def _listed(items: list[str]) -> str:
    return " and ".join(filter(None, (", ".join(items[:-1]), items[-1])))


def _counted(measure: str, number: object) -> str:
    return f"{number} {measure.removesuffix('s') if number == 1 else measure}"
