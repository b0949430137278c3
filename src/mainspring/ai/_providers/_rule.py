"""What a rule is, how a text falls into clauses, and whether a tool takes what a rule would pass."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

_QUESTION_WORDS = "what|how|who|whose|when|where|which|why|on (?:what|which)"
_REQUEST_WORDS = "count|calculate|compute|evaluate|work out|solve|tell|give|show|find|add|subtract|write|explain|list"
_OPENING = rf"(?:please )?(?:{_QUESTION_WORDS}|{_REQUEST_WORDS}|is|are|can|could|does|do|will)\b"
_BOUNDARY = re.compile(
    rf"(?<=[.?!;])\s++|\n\s*+|(?<!\s),?\s++(?:and then|and also|and|then|also)\s++(?={_OPENING})|,\s++(?={_OPENING})",
    re.IGNORECASE,
)
_ASKS = re.compile(rf"(?:{_OPENING}.*|.*\?)\s*", re.IGNORECASE | re.DOTALL)

_READ = 4000


@dataclass(frozen=True, slots=True)
class Match:
    """Where a rule applies.

    Attributes:
        spans: The parts of the text it answers; no later rule looks at them again.
        asked: What was asked, as the answer repeats it.
        arguments: What the tool is called with.
        measures: For text statistics: which numbers were asked for.
    """

    spans: tuple[tuple[int, int], ...]
    asked: str
    arguments: dict[str, Any]
    measures: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rule:
    """One of the things that can be done without a language model.

    Attributes:
        name: Named in every answer it took part in.
        when: When it applies, as the user is told.
        example: A text it applies to.
        tool: The tool it calls.
        find: Where it applies in a text, looking for questions up to a position.
        say: The answer, from the match and the tool's output.
    """

    name: str
    when: str
    example: str
    tool: str
    find: Callable[[str, int], Iterator[Match]]
    say: Callable[[Match, dict[str, Any]], str]

    def fits(self, parameters: dict[str, Any]) -> bool:
        """Whether a tool of that schema takes what this rule passes."""
        return any(accepts(parameters, match.arguments) for match in self.find(self.example, len(self.example)))


def clauses(text: str) -> Iterator[tuple[int, int]]:
    """The sentences of a text, and the questions joined by `and` within one, as spans."""
    start = 0
    for boundary in _BOUNDARY.finditer(text):
        yield start, boundary.start()
        start = boundary.end()
    yield start, len(text)


def readable(text: str) -> int:
    """Up to where a text is searched for questions: 4,000 characters, and there to the last whole clause.

    The bound keeps a long paste from holding up the event loop; a clause cut in two might ask something else.
    """
    if len(text) <= _READ:
        return len(text)
    *_, (start, _) = clauses(text[:_READ])
    return start


def asks(clause: str) -> bool:
    """Whether a clause wants something, rather than greets or tells."""
    return _ASKS.fullmatch(clause) is not None


def accepts(schema: dict[str, Any], arguments: dict[str, Any]) -> bool:
    """Whether an object schema takes these arguments: known names, nothing required missing, fitting types."""
    properties = schema.get("properties", {})
    if not arguments.keys() <= properties.keys() or not set(schema.get("required", ())) <= arguments.keys():
        return False
    return all(_takes(properties[name], value, schema.get("$defs", {})) for name, value in arguments.items())


def _takes(schema: dict[str, Any], value: str | int, definitions: dict[str, Any]) -> bool:
    if reference := schema.get("$ref"):
        schema = definitions.get(str(reference).rpartition("/")[2], {})
    if alternatives := schema.get("anyOf") or schema.get("oneOf"):
        return any(_takes(alternative, value, definitions) for alternative in alternatives)
    if "enum" in schema:
        return value in schema["enum"]
    if "const" in schema:
        return bool(value == schema["const"])
    wanted = {"string"} if isinstance(value, str) else {"integer", "number"}
    return schema.get("type") in wanted
