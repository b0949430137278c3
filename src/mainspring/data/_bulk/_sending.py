"""Sends batches into a table by the shortest way of each driver: COPY, or one prepared INSERT run for each row."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from operator import length_hint
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from mainspring.observability import span

from ._refusals import Sent, refusals
from ._rows import Columns, as_rows

type Row = tuple[Any, ...]


async def send(
    connection: AsyncConnection,
    table: str,
    columns: Sequence[str],
    batches: AsyncIterator[Columns],
    *,
    schema: str | None = None,
    discreet: bool,
) -> None:
    """Insert all rows within the connection's transaction, which must have begun.

    Args:
        connection: To the database.
        table: Its name.
        columns: Their names.
        batches: Values for them.
        schema: Of the table, where it is not the search path's.
        discreet: Whether the driver's words about a value must not be told.

    Raises:
        ValidationFailed: A value cannot be encoded.
        MainspringError: What `translated` makes of a refusal, with the number of the row where the database tells it.
    """
    driver = (await connection.get_raw_connection()).driver_connection
    assert driver is not None
    if connection.dialect.name == "postgresql":
        with span("COPY", table=table), refusals(f"COPY {table}", discreet=discreet) as sent:
            rows = _one_by_one(batches, sent)
            try:
                await driver.copy_records_to_table(table, records=rows, columns=columns, schema_name=schema)
            except Exception:
                sent.closed = driver.is_closed()
                raise
            finally:
                await rows.aclose()
    else:
        quote = connection.dialect.identifier_preparer.quote
        names, marks = ", ".join(map(quote, columns)), ", ".join("?" * len(columns))
        target = f"{quote(schema)}.{quote(table)}" if schema else quote(table)
        statement = f"INSERT INTO {target} ({names}) VALUES ({marks})"  # noqa: S608 -- names, quoted
        with span("INSERT many", table=table), refusals(statement, discreet=discreet) as sent:
            await _execute_many(driver, statement, batches, sent)


async def _one_by_one(batches: AsyncIterator[Columns], sent: Sent) -> AsyncGenerator[Row]:
    # One COPY for everything, whose buffers both sides fill and empty at the same time; a COPY per batch, each waiting for
    # the one before, is a third slower.
    done = 0
    try:
        async for batch in _of_source(batches, sent):
            for row in as_rows(batch):
                done += 1
                yield row
            # The driver never waits while the socket takes what it writes, and others have to get their turn.
            await asyncio.sleep(0)
    finally:
        sent.rows = done


async def _execute_many(driver: Any, statement: str, batches: AsyncIterator[Columns], sent: Sent) -> None:
    async for batch in _of_source(batches, sent):
        rows = list(as_rows(batch))
        left = iter(rows)
        try:
            cursor = await driver.executemany(statement, left)
        finally:
            sent.rows += len(rows) - length_hint(left)
        await cursor.close()


async def _of_source(batches: AsyncIterator[Columns], sent: Sent) -> AsyncIterator[Columns]:
    try:
        async for batch in batches:
            yield batch
    except Exception as error:
        sent.failure = error
        raise
