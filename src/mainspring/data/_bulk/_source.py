"""Rows that are to meet a table's own, where SQL can join them: in arrays while they are few, in a temporary table else."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any, override
from zlib import crc32

from sqlalchemy import BigInteger, Column, FromClause, bindparam, cast, column, func, insert, select, table, true
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import UserDefinedType

from ._guards import unhurried
from ._plan import Plan
from ._rows import Batch, Row
from ._sending import send

_FEW = 10_000
_NUMBER = "bulk_row"
_LONGEST_NAME = 63
_KINDS = "mainspring.bulk.kinds"


@dataclass(frozen=True)
class Source:
    """Rows as something to select from.

    Attributes:
        rows: Their columns, under the names of the table's.
        parameters: What statements on it are to be executed with.
    """

    rows: FromClause
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def __getitem__(self, column: Column[Any]) -> Any:
        return self.rows.c[column.name]

    @property
    def number(self) -> Any:
        """The column that numbers the rows, from 1."""
        return self.rows.c[_NUMBER]


@asynccontextmanager
async def source_of(
    connection: AsyncConnection, plan: Plan[Any], batches: AsyncGenerator[Batch]
) -> AsyncIterator[Source]:
    """All rows of a feed, for the statements of the block.

    On PostgreSQL up to ten thousand go as arrays; for more, and on SQLite, a temporary table is quicker.
    """
    held: list[Row] = []
    kinds = await _array_types(connection, plan) if connection.dialect.name == "postgresql" else None
    if kinds is not None:
        async for batch in batches:
            held.extend(batch)
            if len(held) > _FEW:
                break
        else:
            yield _unnested(plan.columns, kinds, held)
            return
    name = await _create(connection, plan)
    names = [*(column.name for column in plan.columns), _NUMBER]
    every, where = _numbered(held, batches), _temporary(connection)
    async with unhurried(connection):
        await send(connection, name, names, every, schema=where, discreet=plan.discreet)
        columns = (column(each.name, each.type) for each in plan.columns)
        yield Source(table(name, *columns, column(_NUMBER, BigInteger)).alias("bulk"))
    await connection.exec_driver_sql(f"DROP TABLE {_quoted(connection, name)}")


async def may_copy(connection: AsyncConnection, plan: Plan[Any]) -> bool:
    """Whether the table takes rows from the driver. One whose rows are guarded by policies takes no COPY."""
    if connection.dialect.name != "postgresql":
        return True
    name = connection.dialect.identifier_preparer.format_table(plan.table)
    active = await connection.scalar(select(func.row_security_active(func.to_regclass(name))))
    return not active


async def insert_from(connection: AsyncConnection, plan: Plan[Any], source: Source) -> None:
    """Insert all rows of a source."""
    found = select(*(source[each] for each in plan.columns)).where(true()).order_by(source.number)
    statement = insert(plan.table).from_select([each.name for each in plan.columns], found, include_defaults=False)
    await connection.execute(statement, source.parameters)


class _ArrayOf(UserDefinedType[Any]):
    # By the type's own name: an array of varchar(50) or numeric(9, 2) would cut and round what a column refuses.
    cache_ok = True

    def __init__(self, kind: str) -> None:
        self.kind = kind

    @override
    def get_col_spec(self, **_: Any) -> str:
        return f"{self.kind}[]"


async def _array_types(connection: AsyncConnection, plan: Plan[Any]) -> Sequence[_ArrayOf] | None:
    """Of the plan's columns; None where one of them is an array itself, which `unnest` would take apart."""
    name = connection.dialect.identifier_preparer.format_table(plan.table)
    # As long as the driver's connection lives, as what the driver itself has learnt.
    known: dict[str, dict[str, _ArrayOf | None]] = connection.info.setdefault(_KINDS, {})
    names = [each.name for each in plan.columns]
    if not known.get(name, {}).keys() >= set(names):
        known[name] = await _kinds(connection, name)
    kinds = [known[name][each] for each in names]
    return None if None in kinds else [kind for kind in kinds if kind]


async def _kinds(connection: AsyncConnection, table_name: str) -> dict[str, _ArrayOf | None]:
    found = await connection.exec_driver_sql(
        "SELECT attname, format_type(atttypid, NULL) AS kind, attndims FROM pg_attribute"
        " WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped",
        (table_name,),
    )
    return {row.attname: None if row.attndims else _ArrayOf(row.kind) for row in found}


def _unnested(columns: Sequence[Column[Any]], kinds: Sequence[_ArrayOf], held: Batch) -> Source:
    names = [f"bulk_{place}" for place in range(len(kinds))]
    arrays = (cast(bindparam(name, type_=kind), kind) for name, kind in zip(names, kinds, strict=True))
    typed = (column(each.name, each.type) for each in columns)
    rows = func.unnest(*arrays).table_valued(*typed, with_ordinality=_NUMBER, name="bulk").render_derived()
    return Source(rows, dict(zip(names, zip(*held, strict=True), strict=True)))


async def _create(connection: AsyncConnection, plan: Plan[Any]) -> str:
    # A name for each table: the driver keeps what it has learnt about the columns of a name.
    preparer = connection.dialect.identifier_preparer
    target = preparer.format_table(plan.table)
    name = f"bulk_{crc32(target.encode()):08x}_{plan.table.name}"[:_LONGEST_NAME]
    columns = ", ".join(preparer.quote(each.name) for each in plan.columns)
    commit, empty = ("ON COMMIT DROP ", "WITH NO DATA") if _temporary(connection) else ("", "WHERE 0")
    await connection.exec_driver_sql(
        f"CREATE TEMP TABLE {preparer.quote(name)} {commit}AS"  # noqa: S608 -- names, quoted
        f" SELECT {columns}, CAST(0 AS bigint) AS {_NUMBER} FROM {target} {empty}"
    )
    return name


def _temporary(connection: AsyncConnection) -> str | None:
    return "pg_temp" if connection.dialect.name == "postgresql" else None


def _quoted(connection: AsyncConnection, name: str) -> str:
    return connection.dialect.identifier_preparer.quote(name)


async def _numbered(held: Batch, batches: AsyncIterator[Batch]) -> AsyncGenerator[Batch]:
    number = count(1)
    if held:
        yield [(*row, next(number)) for row in held]
    async for batch in batches:
        yield [(*row, next(number)) for row in batch]
