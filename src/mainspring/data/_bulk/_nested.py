"""Rows with what belongs to them, in one statement: the database gathers the rows of the other table as JSON."""

from collections.abc import Callable, Sequence
from typing import Any, override

from pydantic import BaseModel, TypeAdapter
from pydantic_core import from_json
from sqlalchemy import ColumnElement, Dialect, Text, TypeDecorator, select, type_coerce
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import InstrumentedAttribute, Mapper, RelationshipProperty, aliased
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeEngine

from mainspring.data._keyset import SortTerm

from ._wire import is_carried, reader, wire


def nested[S: BaseModel](
    relationship: InstrumentedAttribute[Any], schema: type[S], *, order_by: Sequence[str] = ()
) -> ColumnElement[list[S]]:
    """A column with what belongs to each row, as a list of Pydantic models; empty where nothing does.

        select(Order.id, Order.total, nested(Order.lines, LineOut).label("lines"))

    The statement selects from the model: one of its columns, or `select_from(Order)`.

    One statement, however many rows there are, and no objects of the ORM in between. Each value passes through the type
    of its column, as in a plain read, so it is the same to the last digit. Rows that are marked as deleted are left out,
    unless the statement is run with `including_deleted()`.

    Args:
        relationship: Of the model that is selected: `Order.lines`; one to many, or many to many.
        schema: What each of them becomes. Its fields are attributes of the other model that are columns.
        order_by: Attributes of the other model by name, a minus before those that run downwards; after them, and without
            them, by primary key.

    Raises:
        TypeError: It is not a relationship to many, or a field is no column's, or of a type that JSON cannot carry.
    """
    found = relationship.property
    if not isinstance(found, RelationshipProperty) or not found.uselist:
        raise TypeError(f"{relationship} is not a relationship to many rows.")
    mapper: Mapper[Any] = found.mapper
    _refuse_fields(schema, mapper)
    unknown = {name.removeprefix("-") for name in order_by} - set(mapper.column_attrs.keys())
    if unknown:
        raise TypeError(f"{mapper.class_.__name__} has no {', '.join(sorted(unknown))} to be ordered by.")
    # Under a name of its own, because the statement around may have the same table.
    other: Any = aliased(mapper.class_)
    names = tuple(schema.model_fields)
    ordered = [*order_by, *(mapper.get_property_by_column(column).key for column in mapper.primary_key)]
    rows = (
        select(*(wire(getattr(other, name)).label(f"value_{place}") for place, name in enumerate(names)))
        .where(relationship.of_type(other).expression)
        # Both databases gather the rows of a subquery in its order.
        .order_by(*(_term(other, name).ordering() for name in ordered))
        .correlate(relationship.parent)
        .subquery()
    )
    kinds = tuple(mapper.column_attrs[name].columns[0].type for name in names)
    gathered = select(_gathered(*rows.c)).scalar_subquery()
    return type_coerce(gathered, _Nested(schema, names, kinds))


def _refuse_fields(schema: type[BaseModel], mapper: Mapper[Any]) -> None:
    columns = {attribute.key: attribute.columns[0] for attribute in mapper.column_attrs}
    for name in schema.model_fields:
        if name not in columns:
            raise TypeError(f"{schema.__name__}.{name}: {mapper.class_.__name__} has no column of this name.")
        if not is_carried(columns[name].type):
            raise TypeError(f"{schema.__name__}.{name} is a {columns[name].type!r}, which JSON cannot carry.")


def _term(other: Any, name: str) -> SortTerm:
    return SortTerm(getattr(other, name.removeprefix("-")), name.startswith("-"))


class _gathered(FunctionElement[str]):  # noqa: N801 -- a function in SQL
    type = Text()
    inherit_cache = True


@compiles(_gathered, "postgresql")
def _gather_on_postgresql(element: _gathered, compiler: SQLCompiler, **options: Any) -> str:
    return f"CAST(coalesce(json_agg(json_build_array({compiler.process(element.clauses, **options)})), '[]') AS text)"


@compiles(_gathered, "sqlite")
def _gather_on_sqlite(element: _gathered, compiler: SQLCompiler, **options: Any) -> str:
    return f"json_group_array(json_array({compiler.process(element.clauses, **options)}))"


class _Nested[S: BaseModel](TypeDecorator[list[S]]):
    impl = Text
    cache_ok = True

    def __init__(self, schema: type[S], names: tuple[str, ...], kinds: tuple[TypeEngine[Any], ...]) -> None:
        super().__init__()
        self.schema = schema
        self.names = names
        self.kinds = kinds
        self._adapter = TypeAdapter(list[schema])  # type: ignore[valid-type]
        self._readers: dict[str, list[Callable[[Any], Any]]] = {}

    @override
    def process_result_value(self, value: str | None, dialect: Dialect) -> list[S]:
        if dialect.name not in self._readers:
            self._readers[dialect.name] = [reader(kind, dialect) for kind in self.kinds]
        readers = self._readers[dialect.name]
        rows = [
            {name: read(value) for name, read, value in zip(self.names, readers, row, strict=True)}
            for row in from_json(value or "[]")
        ]
        return self._adapter.validate_python(rows, by_name=True)
