"""What is asked of the database, for tests and while developing: every statement, how long it took, and who asked."""

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from time import perf_counter
from typing import Any, NamedTuple, override

from sqlalchemy import Connection, Engine, event

from ._places import own_place

MOST_REPEATS = 10
"""How often one line may send the same statement before it is told. A page has 20 rows by default, and what a handler does
on purpose, it does a few times.
"""

ADVICE = (
    "Ask once for all rows: selectinload(Model.attribute) in the statement or in the store's loads, "
    "or .where(Model.id.in_(ids))."
)
"""What to do about a statement that is sent for each row."""

_KEY = "mainspring.query"
_NOT_COUNTED = re.compile(r"\s*(?:BEGIN|COMMIT|ROLLBACK|SAVEPOINT|RELEASE|SET|PRAGMA)\b", re.IGNORECASE)
_PLACEHOLDER = r"(?:\?|\$\d+(?:::[\w ]+(?:\(\d+\))?)?)"
_PLACEHOLDERS = re.compile(rf"\(\s*{_PLACEHOLDER}(?:\s*,\s*{_PLACEHOLDER})*\s*\)")


@dataclass(slots=True)
class Query:
    """One statement that was sent.

    Attributes:
        sql: Its text, with placeholders.
        place: The line of the service's, or the test's, code that sent it, as `file:line`.
        seconds: How long it took; None if it failed, or is under way.
    """

    sql: str
    place: str
    seconds: float | None = None

    @override
    def __str__(self) -> str:
        took = "failed" if self.seconds is None else f"{self.seconds * 1000:.2f} ms"
        return f"{took:>9}  {' '.join(self.sql.split())}\n           at {self.place}"


class Repeat(NamedTuple):
    """A statement that one line has sent again and again.

    Attributes:
        times: How often.
        sql: Its text.
        place: The line.
    """

    times: int
    sql: str
    place: str

    @override
    def __str__(self) -> str:
        return f"{self.times} times from {self.place}: {self.sql}\n  {ADVICE}"


class Queries(list[Query]):
    """The statements of one request or block, oldest first; not counted is what begins and ends transactions."""

    def repeats(self, most: int = MOST_REPEATS) -> list[Repeat]:
        """The statements that one line has sent more than `most` times, the most frequent first.

        Lists of values of different lengths make no difference.
        """
        counts = Counter((_PLACEHOLDERS.sub("(…)", " ".join(query.sql.split())), query.place) for query in self)
        return [Repeat(times, *group) for group, times in counts.most_common() if times > most]

    @override
    def __str__(self) -> str:
        return "\n".join(map(str, self))


_recorders: ContextVar[tuple[Queries, ...]] = ContextVar("mainspring_queries", default=())


@contextmanager
def record_queries() -> Iterator[Queries]:
    """Record the statements that the block sends, and the tasks and threads that it starts.

    The first one in a process listens to SQLAlchemy from then on; a process that never records is not slowed down.
    """
    queries = Queries()
    _listen()
    token = _recorders.set((*_recorders.get(), queries))
    try:
        yield queries
    finally:
        _recorders.reset(token)


def note(sql: str, seconds: float | None = None) -> Query | None:
    """Count a statement that does not pass SQLAlchemy; None where nobody counts.

    Args:
        sql: Its text, with placeholders.
        seconds: How long it took. Whoever calls before it is sent may set it afterwards, on what is returned.
    """
    recorders = _recorders.get()
    if not recorders or _NOT_COUNTED.match(sql):
        return None
    query = Query(sql, own_place() or "the framework", seconds)
    for queries in recorders:
        queries.append(query)
    return query


def _listen() -> None:
    # The class: engines that exist and engines to come, whoever made them.
    if not event.contains(Engine, "before_cursor_execute", _before):
        event.listen(Engine, "before_cursor_execute", _before)
        event.listen(Engine, "after_cursor_execute", _after)


def _before(connection: Connection, _: Any, sql: str, *__: Any) -> None:
    # One that failed is still there.
    connection.info[_KEY] = (note(sql), perf_counter())


def _after(connection: Connection, *_: Any) -> None:
    query, began = connection.info.pop(_KEY, (None, 0.0))
    if query is not None:
        query.seconds = perf_counter() - began
