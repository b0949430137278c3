"""How a value of each type travels inside JSON and comes out as the driver would have given it."""

import json
from collections.abc import Callable
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import (
    JSON,
    Boolean,
    Date,
    DateTime,
    Dialect,
    Float,
    Integer,
    Interval,
    LargeBinary,
    Numeric,
    String,
    Time,
    TypeDecorator,
    Uuid,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeEngine

type _Read = Callable[[Any], Any]

_CARRIED = (Boolean, Date, DateTime, Float, Integer, JSON, LargeBinary, Numeric, String, Time, Uuid)
# PostgreSQL's numbers of types, by which SQLAlchemy tells what the driver gives.
_NUMERIC, _DOUBLE = 1700, 701


def is_carried(kind: TypeEngine[Any]) -> bool:
    """Whether values of a type survive the journey."""
    bare = _bare(kind)
    # A stretch of time is a moment to SQLite, and text of a style of its own to PostgreSQL.
    return isinstance(bare, _CARRIED) and not isinstance(bare, Interval)


class wire(FunctionElement[Any]):  # noqa: N801 -- called like a function, as SQLAlchemy's own are
    """A column as JSON carries it whole. SQLite writes 15 digits of a number into JSON, and PostgreSQL all of them, which
    the reader would take for a binary fraction; so numbers that are not integers go as text.
    """

    inherit_cache = True


@compiles(wire, "postgresql")
def _for_postgresql(element: wire, compiler: SQLCompiler, **options: Any) -> str:
    (column,) = element.clauses
    sql, kind = compiler.process(column, **options), _bare(column.type, compiler.dialect)
    if isinstance(kind, LargeBinary):
        return f"encode({sql}, 'hex')"
    return f"CAST({sql} AS text)" if isinstance(kind, Numeric | JSON) and not isinstance(kind, Float) else sql


@compiles(wire, "sqlite")
def _for_sqlite(element: wire, compiler: SQLCompiler, **options: Any) -> str:
    (column,) = element.clauses
    sql, kind = compiler.process(column, **options), _bare(column.type, compiler.dialect)
    if isinstance(kind, LargeBinary):
        return f"CASE WHEN {sql} IS NOT NULL THEN hex({sql}) END"
    if isinstance(kind, Numeric | Float):
        # Twenty digits give every double back, which seventeen and `quote` of SQLite do not.
        return (
            f"CASE typeof({sql}) WHEN 'real' THEN printf('%!.20g', {sql}) WHEN 'integer' THEN CAST({sql} AS text) END"
        )
    return sql


def reader(kind: TypeEngine[Any], dialect: Dialect) -> _Read:
    """What makes the value of a plain read out of one that came by `wire`."""
    bare = _bare(kind, dialect)
    unpack = (_from_postgresql if dialect.name == "postgresql" else _from_sqlite)(bare)
    number = _DOUBLE if isinstance(bare, Float) else _NUMERIC
    process = kind.dialect_impl(dialect).result_processor(dialect, number)

    def read(value: Any) -> Any:
        plain = value if unpack is None or value is None else unpack(value)
        return plain if process is None else process(plain)

    return read


def _from_postgresql(kind: TypeEngine[Any]) -> _Read | None:
    unpack: tuple[tuple[type[TypeEngine[Any]], _Read], ...] = (
        (Uuid, UUID),
        (Float, float),
        (Numeric, Decimal),
        (DateTime, datetime.fromisoformat),
        (Date, date.fromisoformat),
        (Time, time.fromisoformat),
        (JSON, json.loads),
        (LargeBinary, bytes.fromhex),
    )
    return next((read for kinds, read in unpack if isinstance(kind, kinds)), None)


def _from_sqlite(kind: TypeEngine[Any]) -> _Read | None:
    if isinstance(kind, LargeBinary):
        return bytes.fromhex
    return _number if isinstance(kind, Numeric | Float) else None


def _number(text: str) -> int | float:
    # A whole number is stored as such also in a column of others.
    return int(text) if text.lstrip("-").isdigit() else float(text)


def _bare(kind: TypeEngine[Any], dialect: Dialect | None = None) -> TypeEngine[Any]:
    """A type without those around it that are made in Python."""
    bare = kind.dialect_impl(dialect) if dialect is not None else kind
    while isinstance(bare, TypeDecorator) and not isinstance(bare, Interval):
        bare = bare.impl_instance
    return bare
