"""Which statements a store reads by, planned once for each shape that they take."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from sqlalchemy import Column, ColumnElement, Dialect, Integer, Select, UnaryExpression, bindparam, inspect, select
from sqlalchemy.orm import InstrumentedAttribute, Mapper
from sqlalchemy.sql.operators import asc_op, desc_op

from ._base import Base
from ._plans import Plan
from ._soft_delete import leaving_out_deleted

type Narrow = Callable[[Select[Any]], Select[Any]]
type Order = ColumnElement[Any] | UnaryExpression[Any] | InstrumentedAttribute[Any]

LIMIT = "limit_of_rows"


@dataclass(frozen=True, slots=True)
class Shape:
    """A SELECT but for its values.

    Attributes:
        model: Whose rows.
        columns: The attributes that it reads.
        only: The attributes that every row has one value of.
        includes_deleted: Whether rows that are marked as deleted are among them.
        form: What else decides its text: whatever compares equal for equal texts.
    """

    model: type[Base]
    columns: tuple[str, ...]
    only: tuple[str, ...]
    includes_deleted: bool
    form: Hashable
    narrow: Narrow = field(compare=False)


@lru_cache(maxsize=1024)
def plain_columns(model: type[Base]) -> frozenset[str]:
    """The attributes of a model that are a column of its table and nothing else; what is computed may read other rows, of
    other tenants say. None where its rows are told from those of other models by their values.
    """
    mapper: Mapper[Any] = inspect(model)
    if mapper.inherits is not None or mapper.polymorphic_on is not None:
        return frozenset()
    return frozenset(
        attribute.key
        for attribute in mapper.column_attrs
        if len(attribute.columns) == 1 and isinstance(attribute.columns[0], Column)
    )


def is_plain_column(model: type[Base], attribute: Any) -> bool:
    """Whether an attribute is one of those, and of this very model."""
    return attribute.key in plain_columns(model) and getattr(model, attribute.key) is attribute


def planned(shape: Shape, dialect: Dialect) -> Plan:
    """The plan for a shape."""
    model: Any = shape.model
    statement = select(*(getattr(model, name) for name in shape.columns))
    statement = statement.where(*(getattr(model, name) == own(model, name) for name in shape.only))
    if not shape.includes_deleted:
        statement = statement.options(leaving_out_deleted())
    return Plan(shape.narrow(statement), dialect)


def own(model: type[Base], name: str) -> ColumnElement[Any]:
    """The placeholder for what a store's rows have in common."""
    return placeholder(f"only_{name}", getattr(model, name).type)


def placeholder(name: str, kind: Any) -> ColumnElement[Any]:
    """A value that is given with each call."""
    return bindparam(name, type_=kind, required=True)


def own_values(only: Mapping[str, Any]) -> dict[str, Any]:
    """The values for those placeholders."""
    return {f"only_{name}": value for name, value in only.items()}


def by_key(model: type[Base]) -> Narrow:
    """The row with a primary key, which is given as `key`."""
    key = inspect(model).primary_key[0]

    def narrow(statement: Select[Any]) -> Select[Any]:
        return statement.where(key == placeholder("key", key.type))

    return narrow


def limited(order: Sequence[Any]) -> Narrow:
    """The first rows in an order; how many is given as `LIMIT`."""

    def narrow(statement: Select[Any]) -> Select[Any]:
        return statement.order_by(*order).limit(placeholder(LIMIT, Integer()))

    return narrow


def order_form(model: type[Base], order: Sequence[Order]) -> Hashable | None:
    """What tells one order from another; None for those that are more than columns of the model, up or down."""
    terms = []
    table: Any = inspect(model).local_table
    for term in order:
        modifier = term.modifier if isinstance(term, UnaryExpression) else asc_op
        column: Any = term.element if isinstance(term, UnaryExpression) else term
        if isinstance(column, InstrumentedAttribute):
            column = column.expression
        if modifier not in {asc_op, desc_op} or not isinstance(column, Column) or column.table.name != table.name:
            return None
        terms.append((column.key, modifier is desc_op))
    return tuple(terms)
