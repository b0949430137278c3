"""Finds sums in a text and writes them as plain expressions.

Cautious on purpose: a sum with a part it cannot read (`2 + 3 * y`, `200 + 15 %`, `3,5 * 2`) is left alone, because the
part it can read is another sum.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise, takewhile

from ._rule import Match, clauses

_NUMBER = r"(?<![\w.,])(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?!\w|[.,]\d)"
_TOKEN = re.compile(
    rf"(?P<rate>{_NUMBER})\s*(?:%|per\s?cent\b)\s*of\s+(?:(?=\()|(?:the\s+)?[$€£]?(?P<base>{_NUMBER}))"
    rf"|[$€£]?(?P<number>{_NUMBER})"
    r"|(?P<sign>\*\*|//|[-+*/^%\u00d7\u00f7\u00b7\u2212()]|\b(?:plus|minus|times|multiplied\s+by|divided\s+by|modulo|mod|x)\b)",
    re.IGNORECASE,
)
_OPERATORS = {
    "^": "**",
    "x": "*",
    "\u00d7": "*",
    "\u00b7": "*",
    "\u00f7": "/",
    "\u2212": "-",
    "plus": "+",
    "minus": "-",
    "times": "*",
    "multiplied by": "*",
    "divided by": "/",
    "mod": "%",
    "modulo": "%",
}
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_ASKED = re.compile(
    r"\b(?:what|how much|calculate|compute|evaluate|work out|solve|result|equals?|sum|need|want|give|tell|find)\b|=",
    re.IGNORECASE,
)
_BARE = re.compile(r"(?:then|and|also|[\s.?!;,:=*+-])*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    written: str
    start: int
    end: int


_START, _END = _Token("start", "", -1, -1), _Token("end", "", -1, -1)
_OPERAND = frozenset({"number", "share", "rate", "open", "sign"})
_AFTER_OPERAND = frozenset({"operator", "close", "end"})
_MAY_FOLLOW = {
    **dict.fromkeys(("start", "open", "operator", "rate", "sign"), _OPERAND),
    **dict.fromkeys(("number", "share", "close"), _AFTER_OPERAND),
}


def percentages(text: str, end: int) -> Iterator[Match]:
    """Sums with a `percent of` in them."""
    return (match for match, has_share in _sums(text[:end]) if has_share)


def calculations(text: str, end: int) -> Iterator[Match]:
    """All other sums."""
    return (match for match, has_share in _sums(text[:end]) if not has_share)


def _sums(text: str) -> Iterator[tuple[Match, bool]]:
    readable = _DATE.sub(lambda date: "\0" * len(date[0]), text)
    for start, end in clauses(readable):
        clause = readable[start:end]
        for run in _runs(clause):
            tokens = _signed(_trimmed(run, clause))
            first, last = tokens[0].start, tokens[-1].end
            asked = _ASKED.search(clause) or _BARE.fullmatch(clause[:first] + clause[last:])
            expression = _expression(tokens)
            if asked and expression:
                spans = ((start + first, start + last),)
                match = Match(spans, clause[first:last], {"expression": expression})
                yield match, any(token.kind in {"share", "rate"} for token in tokens)


def _runs(clause: str) -> Iterator[list[_Token]]:
    run: list[_Token] = []
    for found in _TOKEN.finditer(clause):
        token = _token(found)
        if run and clause[run[-1].end : token.start].strip():
            yield run
            run = []
        run.append(token)
    if run:
        yield run


def _token(found: re.Match[str]) -> _Token:
    rate, base, number, sign = (found[name] for name in ("rate", "base", "number", "sign"))
    if rate and base:
        return _Token("share", f"{_plain(base)} * {_plain(rate)} / 100", *found.span())
    if rate:
        return _Token("rate", f"({_plain(rate)} / 100) *", *found.span())
    if number:
        return _Token("number", _plain(number), *found.span())
    word = " ".join(sign.lower().split())
    # A lone `%` may be a percentage or a remainder: no operator, so the sum is left alone.
    kind = {"(": "open", ")": "close", "%": "unclear"}.get(word, "operator")
    return _Token(kind, _OPERATORS.get(word, word), *found.span())


def _plain(number: str) -> str:
    return number.replace(",", "")


def _trimmed(run: list[_Token], clause: str) -> list[_Token]:
    """Without a bullet before it and brackets around it that belong to the text."""
    tokens = list(run)
    bullet = tokens[0].kind == "operator" and not clause[: tokens[0].start].strip()
    if bullet and len(tokens) > 1 and tokens[0].end < tokens[1].start:
        tokens.pop(0)
    opened = sum(1 for _ in takewhile(lambda token: token.kind == "open", tokens))
    closed = sum(1 for _ in takewhile(lambda token: token.kind == "close", reversed(tokens)))
    surplus = sum(_depth(token) for token in tokens)
    tokens = tokens[max(0, min(opened, surplus, len(tokens) - 1)) :]
    tokens = tokens[: len(tokens) - max(0, min(closed, -surplus, len(tokens) - 1))]
    # `sqrt(2 + 7)`: the bracket belongs to a function.
    called = tokens[0].kind == "open" and clause[: tokens[0].start][-1:].isalnum()
    return [_Token("unclear", "", tokens[0].start, tokens[-1].end)] if called else tokens


def _depth(token: _Token) -> int:
    return (token.kind == "open") - (token.kind == "close")


def _signed(tokens: list[_Token]) -> list[_Token]:
    """With those operators that are signs told apart: nothing to their left, and right before what they belong to."""
    signed: list[_Token] = []
    for before, (token, following) in zip([_START, *tokens], pairwise([*tokens, _END]), strict=False):
        leads = before.kind in {"start", "open", "operator", "rate"} and token.end == following.start
        is_sign = leads and token.kind == "operator" and token.written in {"+", "-"}
        signed.append(replace(token, kind="sign") if is_sign else token)
    return signed


def _expression(tokens: list[_Token]) -> str | None:
    """The sum as an expression, or None where the tokens are none, or nothing but a number."""
    if not all(after.kind in _MAY_FOLLOW.get(token.kind, ()) for token, after in pairwise([_START, *tokens, _END])):
        return None
    depths = list(accumulate(_depth(token) for token in tokens))
    if min(depths) < 0 or depths[-1] != 0:
        return None
    kinds = {token.kind for token in tokens}
    if kinds.isdisjoint({"operator", "share", "rate"}):
        return None
    if len(tokens) == 1:
        return tokens[0].written
    written = ""
    for before, token in pairwise([_START, *tokens]):
        tight = before.kind in {"start", "open", "sign"} or token.kind == "close"
        written += ("" if tight else " ") + (f"({token.written})" if token.kind == "share" else token.written)
    return written
