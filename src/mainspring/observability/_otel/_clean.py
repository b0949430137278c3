"""What leaves the process in a span: no secret by name, no values of errors and statements, no query strings."""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.trace import Status

from mainspring.observability._redaction import REDACTED, redact, redact_error

_URLS = frozenset({"url.full", "http.url", "http.target"})
_QUERIES = frozenset({"url.query", "http.query"})
_STATEMENTS = frozenset({"db.query.text", "db.statement"})
_ERRORS = frozenset({"exception.message", "exception.stacktrace", "error.message"})
_LITERAL = re.compile(r"'(?:[^']|'')*'?")
# The messages of libraries' exceptions name what they could not do, and sometimes with which text.
_LONGEST = 8192


def clean_attribute(key: str, value: Any) -> Any:
    """The value of an attribute as it may be exported; libraries that trace themselves record more than we would."""
    if not isinstance(value, str):
        return value if isinstance(value, bool | int | float) else redact({key: value})[key]
    if key in _ERRORS:
        return redact_error(value[:_LONGEST])
    if key in _STATEMENTS:
        return clean_statement(value)
    if key in _QUERIES:
        return REDACTED
    if key in _URLS:
        value = value.partition("?")[0]
    return redact({key: value})[key]


@lru_cache(maxsize=1024)
def clean_statement(text: str) -> str:
    """A SQL statement without the texts that stand in it; parameters never do."""
    return _LITERAL.sub("?", text[:_LONGEST])


def clean_span(span: ReadableSpan) -> ReadableSpan:
    """A copy of a span as it may be exported."""
    status = span.status
    if status.description:
        status = Status(status.status_code, redact_error(status.description))
    return ReadableSpan(
        name=span.name,
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=_clean(span.attributes or {}),
        events=[Event(event.name, _clean(event.attributes or {}), event.timestamp) for event in span.events],
        links=span.links,
        kind=span.kind,
        status=status,
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def _clean(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _plain(clean_attribute(key, value)) for key, value in attributes.items()}


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, Sequence) and not isinstance(value, str | bytes) else value
