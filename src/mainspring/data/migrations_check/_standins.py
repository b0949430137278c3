"""What stands in for a database while a revision is recorded: it takes every statement and answers plausibly."""

from collections.abc import Callable, Iterator
from typing import Any, Self, override

from sqlalchemy import Dialect, text
from sqlalchemy.engine.mock import MockConnection
from sqlalchemy.inspection import _inspects  # the only way to be inspected

from ._catalog import Catalog


class StandIn(MockConnection):
    """A connection that records.

    Args:
        dialect: What SQL is written for.
        record: Takes a statement and says whether it may have rows: one per place in the revision, so that the body of
            a loop over them is seen once, and a loop that reads until nothing is left ends.
        catalog: Answers questions about the schema.
    """

    def __init__(self, dialect: Dialect, record: Callable[[Any], bool], catalog: Catalog) -> None:
        super().__init__(dialect, lambda *_: None)
        self._record = record
        self.catalog = catalog

    @override
    def execute(self, obj: Any, parameters: Any = None, execution_options: Any = None) -> Any:
        return Rows(obj, has_rows=self._record(obj))

    def exec_driver_sql(self, statement: str, parameters: Any = None, execution_options: Any = None) -> Any:
        return self.execute(text(statement.replace(":", "\\:")))

    def scalar(self, statement: Any, parameters: Any = None) -> Any:
        return self.execute(statement).scalar()

    def scalars(self, statement: Any, parameters: Any = None) -> Any:
        return self.execute(statement).scalars()

    def in_transaction(self) -> bool:
        return True

    def get_isolation_level(self) -> str:
        return "READ COMMITTED"

    def begin_nested(self) -> Any:
        return _Savepoint()

    begin = begin_nested


class _Savepoint:
    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def commit(self) -> None:
        """Nothing was begun."""

    rollback = close = commit


class Rows:
    """A result of one row of made-up values, or of none."""

    def __init__(self, asked: Any, *, has_rows: bool) -> None:
        self._rows: list[Any] = [Row(asked)] if has_rows else []
        self.rowcount = len(self._rows)
        self.returns_rows = True

    def __iter__(self) -> Iterator[Any]:
        return iter(self._rows)

    def fetchall(self) -> list[Any]:
        rows, self._rows = self._rows, []
        return rows

    all = fetchall

    def fetchmany(self, size: int | None = None) -> list[Any]:
        return self.fetchall()

    def partitions(self, size: int | None = None) -> Iterator[list[Any]]:
        if self._rows:
            yield self.fetchall()

    def first(self) -> Any:
        rows = self.fetchall()
        return rows[0] if rows else None

    fetchone = one_or_none = first

    def one(self) -> Any:
        return self.first() or Row(None)

    def scalar(self) -> Any:
        row = self.first()
        return row[0] if row else None

    scalar_one_or_none = scalar

    def scalar_one(self) -> Any:
        return self.scalar() or Value()

    def scalars(self, index: int = 0) -> "Rows":
        self._rows = [row[0] for row in self._rows]
        return self

    def mappings(self) -> "Rows":
        return self

    tuples = unique = mappings

    def close(self) -> None:
        """Nothing is open."""


class Value(str):
    """A made-up value: a text that is also a number where one is wanted."""

    __slots__ = ()

    def __new__(cls) -> Self:
        return super().__new__(cls, "1")

    def __int__(self) -> int:
        return 1

    __index__ = __int__

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return Value()


class Row:
    """A row whose every column has a made-up value; unpacks into as many as were selected."""

    def __init__(self, asked: Any) -> None:
        columns = getattr(asked, "selected_columns", None)
        self._size = len(columns) if columns is not None else _selected(asked)

    def __getitem__(self, key: Any) -> Value:
        return Value()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self if name in {"_mapping", "_asdict"} else Value()

    def __call__(self) -> "Row":
        return self

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[Value]:
        return (Value() for _ in range(self._size))

    def get(self, key: Any, default: Any = None) -> Value:
        return Value()


class Inspector:
    """Answers `sqlalchemy.inspect(op.get_bind())` from the revisions before."""

    def __init__(self, connection: StandIn) -> None:
        self._tables = connection.catalog.tables
        self.dialect = connection.dialect

    def get_table_names(self, schema: str | None = None) -> list[str]:
        return list(self._tables)

    def has_table(self, table_name: str, schema: str | None = None) -> bool:
        return _key(table_name, schema) in self._tables

    def get_columns(self, table_name: str, schema: str | None = None) -> list[dict[str, Any]]:
        table = self._tables.get(_key(table_name, schema))
        columns = table.columns.items() if table else ()
        return [{"name": name, "nullable": not column.not_null, "default": None} for name, column in columns]

    def get_indexes(self, table_name: str, schema: str | None = None) -> list[dict[str, Any]]:
        table = self._tables.get(_key(table_name, schema))
        return [{"name": n, "column_names": list(i.columns)} for n, i in table.indexes.items()] if table else []

    def get_unique_constraints(self, table_name: str, schema: str | None = None) -> list[dict[str, Any]]:
        return self._constraints(table_name, schema, "CONSTR_UNIQUE")

    def get_check_constraints(self, table_name: str, schema: str | None = None) -> list[dict[str, Any]]:
        return self._constraints(table_name, schema, "CONSTR_CHECK")

    def get_foreign_keys(self, table_name: str, schema: str | None = None) -> list[dict[str, Any]]:
        return self._constraints(table_name, schema, "CONSTR_FOREIGN")

    def get_enums(self, schema: str | None = None) -> list[dict[str, Any]]:
        return []

    def _constraints(self, name: str, schema: str | None, kind: str) -> list[dict[str, Any]]:
        table = self._tables.get(_key(name, schema))
        found = [(n, c) for n, c in table.constraints.items() if c.kind == kind] if table else []
        return [{"name": n, "column_names": list(c.columns), "constrained_columns": list(c.columns)} for n, c in found]


_inspects(StandIn)(Inspector)


def _key(name: str, schema: str | None) -> str:
    return f"{schema}.{name}" if schema and schema != "public" else name


def _selected(asked: Any) -> int:
    from ._sql import Unparsable, parse  # noqa: PLC0415 -- only where rows are read

    try:
        statement = parse(str(asked))[0]
    except (Unparsable, IndexError):
        return 1
    return len(statement.node.get("target_list", ())) or 1
