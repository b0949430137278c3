"""Moments: aware in Python, UTC in the database, by the database's clock where it is asked."""

from datetime import UTC, datetime
from typing import Any, override

from sqlalchemy import DateTime, Dialect, TypeDecorator
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement


class UtcDateTime(TypeDecorator[datetime]):
    """A moment, timezone-aware in Python and UTC in the database; `timestamptz` on PostgreSQL.

    SQLite has no such type and gives back what it was given, without a zone; this puts UTC back on.

    Raises:
        ValueError: A naive datetime is stored. It would mean another moment on every machine.
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    @property
    @override
    def python_type(self) -> type[datetime]:
        """What values are in Python."""
        return datetime

    @override
    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value!r} has no timezone; use an aware datetime, e.g. datetime.now(UTC).")
        return value.astimezone(UTC)

    @override
    def result_processor(self, dialect: Dialect, coltype: Any) -> Any:
        """What turns a value of the driver into one of Python; nothing where the driver gives UTC already, since a list
        reads two of these per row.
        """
        return None if dialect.driver == "asyncpg" else super().result_processor(dialect, coltype)

    @override
    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class utc_now(FunctionElement[datetime]):  # noqa: N801 -- called like a function, as SQLAlchemy's own are
    """The database's clock, as a default or in an expression, on every database: for PostgreSQL the moment at which the
    transaction began, in microseconds; for SQLite that of the statement, in milliseconds.

    SQLite's own CURRENT_TIMESTAMP has whole seconds and another form than the moments that the driver writes, with which
    it is compared as text.
    """

    type = UtcDateTime()
    inherit_cache = True


@compiles(utc_now)
def _compile(_: utc_now, __: SQLCompiler, **___: Any) -> str:
    return "CURRENT_TIMESTAMP"


@compiles(utc_now, "sqlite")
def _compile_for_sqlite(_: utc_now, __: SQLCompiler, **___: Any) -> str:
    return "(strftime('%Y-%m-%d %H:%M:%f000', 'now'))"
