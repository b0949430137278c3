"""Runs list queries: numbered pages by OFFSET, pages by cursor from the edge of the page before."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

from sqlalchemy import ColumnElement, Integer, Select, select, union_all

from mainspring.errors import InvalidCursor

from ._cursors import FOREIGN, Position
from ._keyset import SortTerm, ranges
from ._listing import CursorQuery, PageQuery
from ._planning import LIMIT, Narrow, placeholder


@dataclass(frozen=True, slots=True)
class CursorSlice[M]:
    """A page by cursor; what `CursorPage` is made from.

    Attributes:
        items: The rows.
        next_cursor: For the page after this one; None on the last.
        previous_cursor: For the page before this one; None on the first.
        total: Rows over all pages, where it was asked for.
    """

    items: Sequence[M]
    next_cursor: str | None
    previous_cursor: str | None
    total: int | None = None


@dataclass(frozen=True, slots=True)
class NumberedSlice[M]:
    """A numbered page; what `Page` is made from.

    Attributes:
        items: The rows.
        total: Rows over all pages.
        page: Which one, from 1.
        page_size: Rows per page, as asked for.
    """

    items: Sequence[M]
    total: int
    page: int
    page_size: int

    @property
    def pages(self) -> int:
        """How many there are; 0 when the list is empty."""
        return -(-self.total // self.page_size)


def owned(query: CursorQuery[Any], only: Mapping[str, Any]) -> CursorQuery[Any]:
    """The query, whose cursors belong to the rows that have certain values.

    Raises:
        InvalidCursor: The cursor that was given belongs to others.
    """
    described = repr(sorted((name, str(value)) for name, value in only.items()))
    owner = sha256(described.encode()).hexdigest()[:16] if only else ""
    if query.position is not None and query.position.owner != owner:
        raise InvalidCursor(FOREIGN)
    write = query.cursor_at
    return replace(query, cursor_at=lambda position: write(replace(position, owner=owner)))


def numbered(statement: Select[Any], query: PageQuery[Any]) -> Select[Any]:
    """The statement for a numbered page."""
    ordered = statement.order_by(*(term.ordering() for term in query.terms))
    return ordered.offset((query.page - 1) * query.page_size).limit(query.page_size)


@dataclass(frozen=True, slots=True)
class Way:
    """How a page is read on one database.

    Attributes:
        key: The primary key.
        by_rows: Whether the database finds a whole row in an index; as for `ranges`.
    """

    key: ColumnElement[Any]
    by_rows: bool


def from_cursor(statement: Select[Any], query: CursorQuery[Any], way: Way) -> Select[Any]:
    """The statement for a page by cursor, with one row more, which tells whether there is another page.

    A page that lies before its edge is read backwards.

    Args:
        statement: Selects all rows of the list, without loader options.
        query: What was asked for.
        way: How the database is asked.
    """
    edge = None if query.position is None else _Edge(query.position.values, query.position.inclusive)
    return _walk(statement, _direction(query), way, edge, limit=query.page_size + 1)


@dataclass(frozen=True, slots=True)
class PlannedPage:
    """The statement of `from_cursor` without its values.

    Attributes:
        form: What decides its text.
        narrow: Makes it.
        values: What it takes this time.
    """

    form: Hashable
    narrow: Narrow
    values: Mapping[str, Any]


def planned_cursor(query: CursorQuery[Any], way: Way) -> PlannedPage | None:
    """How to read a page by a plan; None where its text depends on the values of its filters."""
    template, position, terms = query.template, query.position, _direction(query)
    if template is None or query.criteria is not template.query[0] or query.terms is not template.query[1]:
        return None
    values = () if position is None else position.values
    # `None` is spelled out in the text: nothing equals it.
    marks = [
        None if value is None else placeholder(f"edge_{place}", term.attribute.type)
        for place, (term, value) in enumerate(zip(terms, values, strict=position is not None))
    ]
    edge = None if position is None else _Edge(marks, position.inclusive)
    order = tuple((term.attribute.key, term.descending) for term in terms)
    empty = None if position is None else (position.inclusive, tuple(value is None for value in values))
    # The plan is kept, and so is what makes it: nothing of this request may be in it.
    narrow = _narrowing(template.criteria, terms, way, edge)
    at = {f"edge_{place}": value for place, value in enumerate(values)}
    return PlannedPage((template.form, order, empty), narrow, {**template.values, **at, LIMIT: query.page_size + 1})


def _narrowing(
    criteria: Callable[[], Sequence[ColumnElement[bool]]], terms: Sequence[SortTerm], way: Way, edge: "_Edge | None"
) -> Narrow:
    def narrow(statement: Select[Any]) -> Select[Any]:
        return _walk(statement.where(*criteria()), terms, way, edge, limit=placeholder(LIMIT, Integer()))

    return narrow


@dataclass(frozen=True, slots=True)
class _Edge:
    values: Sequence[Any]
    inclusive: bool


def _walk(
    statement: Select[Any], terms: Sequence[SortTerm], way: Way, edge: _Edge | None, *, limit: Any
) -> Select[Any]:
    ordering = [term.ordering() for term in terms]
    if edge is not None:
        pieces = ranges(terms, edge.values, inclusive=edge.inclusive, by_rows=way.by_rows)
        if len(pieces) == 1:
            statement = statement.where(*pieces)
        else:
            # A page from the start of each range, and then the first page of them all.
            keys = statement.with_only_columns(way.key)
            starts = (keys.where(piece).order_by(*ordering).limit(limit).subquery() for piece in pieces)
            statement = statement.where(way.key.in_(union_all(*map(select, starts))))
    return statement.order_by(*ordering).limit(limit)


def of_attributes(row: Any, term: SortTerm) -> Any:
    """The value of a column of the order, of an object."""
    return getattr(row, term.attribute.key)


def cut[M](
    rows: Sequence[M],
    query: CursorQuery[Any],
    *,
    total: int | None,
    value: Callable[[M, SortTerm], Any] = of_attributes,
) -> CursorSlice[M]:
    """The page out of what the statement of `from_cursor` gave; `value` reads a row."""
    position = query.position
    backwards = position is not None and position.backwards
    items = list(rows[: query.page_size])
    more = len(rows) > query.page_size
    if backwards:
        items.reverse()
    edge = _edges(items, query, value)
    has_next, has_previous = (True, more) if backwards else (more, position is not None)
    return CursorSlice(
        items,
        next_cursor=query.cursor_at(edge(last=True)) if has_next else None,
        previous_cursor=query.cursor_at(edge(last=False)) if has_previous else None,
        total=total,
    )


def _direction(query: CursorQuery[Any]) -> Sequence[SortTerm]:
    backwards = query.position is not None and query.position.backwards
    return [term.reversed for term in query.terms] if backwards else query.terms


def _edges(
    items: Sequence[Any], query: CursorQuery[Any], value: Callable[[Any, SortTerm], Any]
) -> Callable[..., Position]:
    def edge(*, last: bool) -> Position:
        if items:
            row = items[-1 if last else 0]
            values = [value(row, term) for term in query.terms]
        else:
            # Everything on this side has gone meanwhile; the other side begins where this one did.
            assert query.position is not None
            return Position(query.position.values, backwards=not last, inclusive=True)
        return Position(values, backwards=not last)

    return edge
