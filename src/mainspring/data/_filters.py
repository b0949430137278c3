"""Filters that a list declares: which attribute may be compared with a client's value, and how."""

import enum
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AwareDatetime, BeforeValidator, Field, StringConstraints
from sqlalchemy import BigInteger, ColumnElement, SmallInteger, String
from sqlalchemy.orm import InstrumentedAttribute

from ._confidential import is_confidential
from ._planning import placeholder

type Operator = Literal["eq", "ne", "lt", "lte", "gt", "gte", "in", "contains", "startswith", "null"]
type Attribute = InstrumentedAttribute[Any]

_LONGEST_TEXT = 200
_MOST_CHOICES = 100
_NUMBER = re.compile(r"[-+]?[0-9_.]+(?:e[-+]?[0-9]+)?|[-+]?(?:inf(?:inity)?|nan)", re.IGNORECASE)

_COMPARE: Mapping[Operator, Callable[[Any, Any], ColumnElement[bool]]] = {
    "eq": lambda column, value: column == value,
    "ne": lambda column, value: column.is_distinct_from(value),
    "lt": lambda column, value: column < value,
    "lte": lambda column, value: column <= value,
    "gt": lambda column, value: column > value,
    "gte": lambda column, value: column >= value,
    "in": lambda column, value: column.in_(value),
    # `autoescape`: a % or _ in what a person types is that character, not a wildcard.
    "contains": lambda column, value: column.icontains(value, autoescape=True),
    "startswith": lambda column, value: column.istartswith(value, autoescape=True),
    "null": lambda column, value: column.is_(None) if value else column.is_not(None),
}
_WRITTEN_OUT: frozenset[Operator] = frozenset({"in", "contains", "startswith"})
_SAYS: Mapping[Operator, str] = {
    "eq": "Equal to this.",
    "ne": "Anything but this, nothing included.",
    "lt": "Less than this.",
    "lte": "This or less.",
    "gt": "More than this.",
    "gte": "This or more.",
    "in": "One of these; repeat the parameter for each.",
    "contains": "Contains this text, in capitals or not.",
    "startswith": "Begins with this text, in capitals or not.",
    "null": "true: has no value; false: has one.",
}


@dataclass(frozen=True, slots=True)
class Filter:
    """One attribute that a list can be filtered by, and its operators.

    On the wire `eq` is `?name=x`, and the others `?created_at[gte]=x`. `contains` reads every row that the other
    filters leave, unless the database has an index for it (PostgreSQL's `pg_trgm`).

    Args:
        attribute: Of the model: `Agent.created_at`.
        operators: `eq` by default.
        name: On the wire, where it is not the attribute's.
    """

    attribute: Attribute
    operators: Sequence[Operator] = ("eq",)
    name: str = ""

    @property
    def wire_name(self) -> str:
        """What clients call the attribute."""
        return self.name or self.attribute.key

    def parameters(self) -> Sequence["Parameter"]:
        """A query parameter for each operator."""
        return [Parameter(self, operator) for operator in self.operators]


@dataclass(frozen=True, slots=True)
class Parameter:
    """One filter with one operator, as a parameter of the query string."""

    filter: Filter
    operator: Operator

    @property
    def alias(self) -> str:
        """Its name on the wire."""
        name = self.filter.wire_name
        return name if self.operator == "eq" else f"{name}[{self.operator}]"

    @property
    def identifier(self) -> str:
        """Its name in Python."""
        return f"{self.filter.wire_name}__{self.operator}"

    @property
    def description(self) -> str:
        """What it does, for the API description."""
        return _SAYS[self.operator]

    @property
    def annotation(self) -> Any:
        """The type that its value is parsed to."""
        if self.operator == "null":
            return bool
        value = value_type(self.filter.attribute)
        if self.operator == "in":
            return Annotated[list[value], Field(min_length=1, max_length=_MOST_CHOICES)]  # type: ignore[valid-type]
        return value

    @property
    def is_plannable(self) -> bool:
        """Whether the text of its condition is the same for all values. Lists and patterns are written into it."""
        return self.operator not in _WRITTEN_OUT

    @property
    def placeholder(self) -> ColumnElement[Any]:
        """What stands for the value in a plan."""
        return placeholder(self.identifier, self.filter.attribute.type)

    def criterion(self, value: Any) -> ColumnElement[bool]:
        """What rows have to fulfil."""
        return _COMPARE[self.operator](self.filter.attribute, value)


def _no_number(value: Any) -> Any:
    # Pydantic would take it for seconds or milliseconds since 1970, whichever is nearer to today.
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        raise ValueError("write it as ISO 8601, like 2026-01-31 or 2026-01-31T12:00:00Z")
    return value


def value_type(attribute: Attribute) -> Any:
    """What a value for a column may be, so that nothing arrives in the database that it cannot take.

    Raises:
        TypeError: Values of this column cannot be written in a query string, or are confidential.
    """
    if is_confidential(attribute):
        raise TypeError(f"{attribute} is confidential: clients can neither filter nor sort by it.")
    column_type = attribute.type
    python: type[Any] = column_type.python_type
    if issubclass(python, bool | UUID | enum.Enum):
        return python
    if issubclass(python, int):
        bits = 16 if isinstance(column_type, SmallInteger) else 64 if isinstance(column_type, BigInteger) else 32
        return Annotated[int, Field(ge=-(2 ** (bits - 1)), lt=2 ** (bits - 1))]
    if issubclass(python, Decimal):
        # More digits than the column's the database would round, and compare with another number than the client's.
        digits: Any = column_type
        return Annotated[Decimal, Field(allow_inf_nan=False, max_digits=digits.precision, decimal_places=digits.scale)]
    if issubclass(python, float):
        return Annotated[float, Field(allow_inf_nan=False)]
    if issubclass(python, datetime):
        return Annotated[AwareDatetime, BeforeValidator(_no_number)]
    if issubclass(python, date):
        return Annotated[date, BeforeValidator(_no_number)]
    if issubclass(python, str) and isinstance(column_type, String):
        # PostgreSQL cannot store NUL, nor compare with it.
        return Annotated[str, StringConstraints(max_length=_LONGEST_TEXT, pattern=r"^[^\x00]*$")]
    raise TypeError(f"{attribute} is a {python.__name__}, which no filter can compare.")
