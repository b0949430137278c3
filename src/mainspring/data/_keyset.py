"""Keyset paging: a page begins after a row's values and not after a number of rows, so that the last page costs what the
first does, and rows that come or go meanwhile neither repeat nor hide others.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import ColumnElement, and_, literal, tuple_
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

    def beyond(self, value: Any) -> Sequence[ColumnElement[bool]]:
        """Rows that come after this value in this column alone, as ranges in their order; none where none can."""
        if value is None:
            return [self.attribute.is_not(None)] if self.descending else []
        further = self.attribute < value if self.descending else self.attribute > value
        return [further, self.attribute.is_(None)] if self.nullable and not self.descending else [further]

    def same(self, value: Any) -> ColumnElement[bool]:
        """Rows that have this value."""
        return self.attribute.is_(None) if value is None else self.attribute == value


def ranges(
    terms: Sequence[SortTerm], values: Sequence[Any], *, inclusive: bool, by_rows: bool
) -> Sequence[ColumnElement[bool]]:
    """Rows that come after one with these values, or with it, as ranges that have nothing in common.

    Each is one stretch of an index over the columns. Together with OR they are none: PostgreSQL and SQLite both read such
    an index from its start and throw away what comes before.

    Args:
        terms: The order.
        values: One for each term.
        inclusive: Whether the row with these values belongs to them.
        by_rows: Whether the database finds a whole row in an index, as PostgreSQL does. Then one comparison stands for all
            columns at the end that run the same way. SQLite looks at the first column alone, and reads all rows that have
            the same value there.
    """
    same = [term.same(value) for term, value in zip(terms, values, strict=True)]
    start = _same_way(terms, values) if by_rows else len(terms)
    found: list[ColumnElement[bool]] = []
    if start < len(terms):
        found.append(and_(*same[:start], _compared(terms[start:], values[start:], inclusive=inclusive)))
        # A comparison of rows is neither true nor false where it meets nothing, and in an ascending order that comes last.
        behind = [place for place in range(start, len(terms)) if terms[place].nullable and not terms[place].descending]
        found += [and_(*same[:place], terms[place].same(None)) for place in behind]
    elif inclusive:
        found.append(and_(*same))
    for place in reversed(range(start)):
        found += [and_(*same[:place], further) for further in terms[place].beyond(values[place])]
    return found


def _same_way(terms: Sequence[SortTerm], values: Sequence[Any]) -> int:
    """Where the columns begin that run the same way as the last one, and have values."""
    start = len(terms)
    while start and values[start - 1] is not None and terms[start - 1].descending is terms[-1].descending:
        start -= 1
    return start


def _compared(terms: Sequence[SortTerm], values: Sequence[Any], *, inclusive: bool) -> ColumnElement[bool]:
    row = tuple_(*(term.attribute for term in terms))
    edge = tuple_(*(_literal(value, term) for term, value in zip(terms, values, strict=True)))
    if terms[0].descending:
        return row <= edge if inclusive else row < edge
    return row >= edge if inclusive else row > edge


def _literal(value: Any, term: SortTerm) -> ColumnElement[Any]:
    # A plan brings the placeholder for it.
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
