"""Filling a column of a table in use: in batches, each in its own transaction, with pauses, resumable."""

import asyncio
from collections.abc import Mapping

from alembic import op
from sqlalchemy import Connection, inspect
from sqlalchemy.util import await_only


def backfill(
    table: str, values: Mapping[str, str], *, where: str, key: str | None = None, batch: int = 1000, pause: float = 0.05
) -> int:
    """Update rows of a table in a migration, a batch at a time, so that no row stays locked for longer than its batch.

    On PostgreSQL call it inside `with op.get_context().autocommit_block():`, so that each batch is a transaction. It
    walks the key once from its start, and is resumed by running the migration again: `where` leaves out what is done.
    SQLite has one writer anyway, so there it is one statement.

    Args:
        table: Its name, with the schema if need be.
        values: SQL expressions by column: `{"total": "price * amount"}`. Not values: quote a text in SQL.
        where: Which rows still need it, as SQL; the update should make it false. It is looked at again when a row is
            updated, so a value written meanwhile is not overwritten.
        key: A unique column, indexed and without NULL; the primary key by default, which must then be one column.
        batch: Rows per transaction. A thousand takes milliseconds.
        pause: Seconds between two batches, for replicas and vacuum to keep up.

    Returns:
        How many rows were updated; 0 where SQL is only printed.

    Raises:
        RuntimeError: On PostgreSQL inside a transaction, which would keep all rows locked to its end.
        ValueError: The primary key has several columns and `key` is not given, or `values` is empty.
    """
    if not values:
        raise ValueError("backfill() wants at least one column to set.")
    context = op.get_context()
    sets = ", ".join(f"{column} = {expression}" for column, expression in values.items())
    whole = f"UPDATE {table} SET {sets} WHERE {where}"  # noqa: S608 -- SQL is what a migration is written in
    if context.as_sql:
        context.impl.static_output(f"{whole};")
        return 0
    connection = op.get_bind()
    if connection.dialect.name != "postgresql":
        return connection.exec_driver_sql(whole).rowcount
    if connection.get_execution_options().get("isolation_level") != "AUTOCOMMIT":
        raise RuntimeError(
            f"backfill({table!r}) stands in a transaction, which would keep every row locked until its end. "
            "Put it into `with op.get_context().autocommit_block():`."
        )
    column = key or _primary_key(connection, table)
    return _in_batches(connection, _statement(connection, table, column, sets, where, batch), pause)


def _in_batches(connection: Connection, statement: str, pause: float) -> int:
    updated, last = 0, None
    while True:
        last, count = connection.exec_driver_sql(statement, (last,)).one()
        if last is None:
            return updated
        updated += count
        await_only(asyncio.sleep(pause))


def _statement(connection: Connection, table: str, key: str, sets: str, where: str, batch: int) -> str:  # noqa: PLR0917 -- of one statement
    kind = connection.exec_driver_sql(
        "SELECT format_type(atttypid, atttypmod) FROM pg_attribute"
        " WHERE attrelid = CAST(CAST($1 AS text) AS regclass) AND attname = CAST($2 AS text)",
        (table, key.strip('"')),
    ).scalar_one()
    # `where` stands twice: once to find the rows, once for what others have committed to them since.
    return (
        f"WITH batch AS (SELECT {key} AS backfill_key FROM {table} WHERE ({where})"  # noqa: S608 -- as above
        f" AND (CAST($1 AS text) IS NULL OR {key} > CAST(CAST($1 AS text) AS {kind})) ORDER BY {key} LIMIT {batch:d}),"
        f" done AS (UPDATE {table} SET {sets} FROM batch WHERE {table}.{key} = batch.backfill_key AND ({where})"
        " RETURNING 1)"
        " SELECT (SELECT CAST(backfill_key AS text) FROM batch ORDER BY backfill_key DESC LIMIT 1),"
        " (SELECT count(*) FROM done)"
    )


def _primary_key(connection: Connection, table: str) -> str:
    schema, _, name = table.rpartition(".")
    columns = inspect(connection).get_pk_constraint(name.strip('"'), schema.strip('"') or None)["constrained_columns"]
    if len(columns) != 1:
        raise ValueError(f"{table} has no primary key of one column; name a unique column with key=.")
    return connection.dialect.identifier_preparer.quote(columns[0])
