"""Runs list queries: numbered pages by OFFSET, pages by cursor from the edge of the page before."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, select, union_all

from ._cursors import Position
from ._keyset import SortTerm, ranges
from ._listing import CursorQuery, PageQuery


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


def numbered(statement: Select[Any], query: PageQuery[Any]) -> Select[Any]:
    """The statement for a numbered page."""
    ordered = statement.order_by(*(term.ordering() for term in query.terms))
    return ordered.offset((query.page - 1) * query.page_size).limit(query.page_size)


def from_cursor(
    statement: Select[Any], query: CursorQuery[Any], *, key: ColumnElement[Any], by_rows: bool
) -> Select[Any]:
    """The statement for a page by cursor, with one row more, which tells whether there is another page.

    A page that lies before its edge is read backwards.

    Args:
        statement: Selects all rows of the list, without loader options.
        query: What was asked for.
        key: The primary key.
        by_rows: As for `ranges`.
    """
    ordering = [term.ordering() for term in _direction(query)]
    size = query.page_size + 1
    if query.position is not None:
        position = query.position
        pieces = ranges(_direction(query), position.values, inclusive=position.inclusive, by_rows=by_rows)
        if len(pieces) == 1:
            statement = statement.where(*pieces)
        else:
            # A page from the start of each range, and then the first page of them all.
            keys = statement.with_only_columns(key)
            starts = (keys.where(piece).order_by(*ordering).limit(size).subquery() for piece in pieces)
            statement = statement.where(key.in_(union_all(*map(select, starts))))
    return statement.order_by(*ordering).limit(size)


def cut[M](rows: Sequence[M], query: CursorQuery[Any], *, total: int | None) -> CursorSlice[M]:
    """The page out of what the statement of `from_cursor` gave."""
    position = query.position
    backwards = position is not None and position.backwards
    items = list(rows[: query.page_size])
    more = len(rows) > query.page_size
    if backwards:
        items.reverse()
    edge = _edges(items, query)
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


def _edges(items: Sequence[Any], query: CursorQuery[Any]) -> Callable[..., Position]:
    def edge(*, last: bool) -> Position:
        if items:
            row = items[-1 if last else 0]
            values = [getattr(row, term.attribute.key) for term in query.terms]
        else:
            # Everything on this side has gone meanwhile; the other side begins where this one did.
            assert query.position is not None
            return Position(query.position.values, backwards=not last, inclusive=True)
        return Position(values, backwards=not last)

    return edge
