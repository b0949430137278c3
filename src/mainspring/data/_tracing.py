"""A span per SQL statement of a traced request, by OpenTelemetry's conventions for databases."""

import re
from functools import lru_cache
from typing import Any

from sqlalchemy import URL, Connection, event
from sqlalchemy.engine.interfaces import DBAPICursor, ExceptionContext
from sqlalchemy.ext.asyncio import AsyncEngine

from mainspring.observability import Call, begin_call, is_traced

_KEY = "mainspring.call"
_TEXT = re.compile(r"'(?:[^']|'')*'?")
_TABLE = re.compile(r"\b(?:FROM|INTO|UPDATE|TABLE(?:\s+IF(?:\s+NOT)?\s+EXISTS)?)\s+([\w.\"]+)", re.IGNORECASE)
_LONGEST = 4096


class StatementSpans:
    """Spans of the statements that go to one database.

    Args:
        url: Where it is.
    """

    def __init__(self, url: URL) -> None:
        self._where: dict[str, Any] = {"db.system.name": url.get_backend_name()}
        if url.host:
            self._where |= {
                "server.address": url.host,
                "server.port": url.port or 5432,
                "db.namespace": url.database or "",
            }

    def begin(self, statement: str) -> Call | None:
        """The span of a statement that is about to run: its text with placeholders, never its parameters. None where
        the request is not traced.
        """
        if not is_traced():
            return None
        summary, text = _shown(statement)
        return begin_call(summary, self._where | {"db.query.summary": summary, "db.query.text": text})


def trace_statements(engine: AsyncEngine) -> None:
    """Make spans of an engine's statements."""
    spans = StatementSpans(engine.url)

    def before(connection: Connection, cursor: DBAPICursor, statement: str, *_: Any) -> None:
        call = spans.begin(statement)
        if call is not None:
            connection.info[_KEY] = call

    def after(connection: Connection, *_: Any) -> None:
        call = connection.info.pop(_KEY, None)
        if call is not None:
            call.end()

    def failed(context: ExceptionContext) -> None:
        call = context.connection.info.pop(_KEY, None) if context.connection is not None else None
        if call is not None:
            call.end(context.original_exception)

    event.listen(engine.sync_engine, "before_cursor_execute", before)
    event.listen(engine.sync_engine, "after_cursor_execute", after)
    event.listen(engine.sync_engine, "handle_error", failed)


@lru_cache(maxsize=512)
def _shown(statement: str) -> tuple[str, str]:
    """What a statement does to which table, and its text without the texts in it."""
    text = _TEXT.sub("?", statement[:_LONGEST])
    verb = statement.split(None, 1)[0].upper() if statement.strip() else "SQL"
    table = _TABLE.search(text)
    return (f"{verb} {table[1]}" if table else verb), text
