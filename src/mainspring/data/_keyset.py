"""Keyset paging: a page begins after a row's values and not after a number of rows, so that the last page costs what the
first does, and rows that come or go meanwhile neither repeat nor hide others.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import ColumnElement, and_, false, literal, or_, tuple_
from sqlalchemy.orm import InstrumentedAttribute

from mainspring.errors import InvalidCursor

from ._cursors import FOREIGN
from ._filters import value_type


@dataclass(frozen=True, slots=True)
class SortTerm:
    """One column of an order. No value counts as the largest one, which is PostgreSQL's own order and its indexes'."""

    attribute: InstrumentedAttribute[Any]
    descending: bool = False

    @property
    def nullable(self) -> bool:
        """Whether rows may have no value here."""
        return bool(getattr(self.attribute.property.columns[0], "nullable", True))

    @property
    def reversed(self) -> "SortTerm":
        """The same column the other way round."""
        return SortTerm(self.attribute, not self.descending)

    def ordering(self) -> ColumnElement[Any]:
        """For ORDER BY."""
        ordered = self.attribute.desc() if self.descending else self.attribute.asc()
        if not self.nullable:
            return ordered
        return ordered.nulls_first() if self.descending else ordered.nulls_last()

    def after(self, value: Any) -> ColumnElement[bool] | None:
        """Rows that come after this value in this column alone; None where none can."""
        if value is None:
            return self.attribute.is_not(None) if self.descending else None
        beyond = self.attribute < value if self.descending else self.attribute > value
        return or_(beyond, self.attribute.is_(None)) if self.nullable and not self.descending else beyond

    def same(self, value: Any) -> ColumnElement[bool]:
        """Rows that have this value."""
        return self.attribute.is_(None) if value is None else self.attribute == value


def after(terms: Sequence[SortTerm], values: Sequence[Any]) -> ColumnElement[bool]:
    """Rows that come after one with these values.

    Where all columns run the same way and none is empty it is one comparison of rows, which an index over them answers
    at once; otherwise the same is spelled out column by column.
    """
    if len({term.descending for term in terms}) == 1 and not any(term.nullable for term in terms):
        row = tuple_(*(term.attribute for term in terms))
        edge = tuple_(*(_literal(value, term) for term, value in zip(terms, values, strict=True)))
        return row < edge if terms[0].descending else row > edge
    alternatives: list[ColumnElement[bool]] = []
    for place, (term, value) in enumerate(zip(terms, values, strict=True)):
        beyond = term.after(value)
        if beyond is not None:
            before = zip(terms[:place], values[:place], strict=True)
            alternatives.append(and_(*(earlier.same(known) for earlier, known in before), beyond))
    # Implied by the alternatives, and what an index on the first column can begin with.
    first = terms[0].after(values[0])
    start = or_(first, terms[0].same(values[0])) if first is not None else terms[0].same(values[0])
    return and_(start, or_(*alternatives)) if alternatives else false()


def _literal(value: Any, term: SortTerm) -> ColumnElement[Any]:
    return value if isinstance(value, ColumnElement) else literal(value, term.attribute.type)


def parsed(terms: Sequence[SortTerm], values: Sequence[Any]) -> list[Any]:
    """A cursor's values as the columns' types.

    Raises:
        InvalidCursor: They do not fit, because a column has changed its type since.
    """
    if len(terms) != len(values):
        raise InvalidCursor(FOREIGN)
    try:
        return [
            None if value is None else TypeAdapter(_bare(term)).validate_python(value)
            for term, value in zip(terms, values, strict=True)
        ]
    except ValueError as error:
        raise InvalidCursor(FOREIGN) from error


def _bare(term: SortTerm) -> Any:
    # Texts in a column may be longer than those that a filter takes.
    python = term.attribute.type.python_type
    return str if python is str else value_type(term.attribute)
