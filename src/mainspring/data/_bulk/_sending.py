"""Sends batches into a table by the shortest way of each driver: COPY, or one prepared INSERT run for each row."""

import asyncio
from collections.abc import AsyncIterator, Generator, Iterator, Sequence
from itertools import chain
from operator import length_hint
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.util import await_

from mainspring.observability import span

from ._refusals import Sent, refusals
from ._rows import Batch, Row
from ._waiting import waiting


async def send(
    connection: AsyncConnection,
    table: str,
    columns: Sequence[str],
    batches: AsyncIterator[Batch],
    *,
    schema: str | None = None,
    discreet: bool,
) -> None:
    """Insert all rows within the connection's transaction, which must have begun.

    Args:
        connection: To the database.
        table: Its name.
        columns: Their names.
        batches: Rows with values for them.
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
            rows = _handed_over(batches, sent)
            records = chain.from_iterable(rows)
            copying = driver.copy_records_to_table(table, records=records, columns=columns, schema_name=schema)
            try:
                await waiting(copying)
            except Exception:
                sent.closed = driver.is_closed()
                raise
            finally:
                rows.close()
    else:
        quote = connection.dialect.identifier_preparer.quote
        names, marks = ", ".join(map(quote, columns)), ", ".join("?" * len(columns))
        target = f"{quote(schema)}.{quote(table)}" if schema else quote(table)
        statement = f"INSERT INTO {target} ({names}) VALUES ({marks})"  # noqa: S608 -- names, quoted
        with span("INSERT many", table=table), refusals(statement, discreet=discreet) as sent:
            await _execute_many(driver, statement, batches, sent)


def _handed_over(batches: AsyncIterator[Batch], sent: Sent) -> Generator[Iterator[Row]]:
    """The batches for a driver that takes a plain iterator of rows, a third quicker than an asynchronous one."""
    while batch := await_(_next(batches, sent)):
        left = iter(batch)
        try:
            yield left
        finally:
            sent.rows += len(batch) - length_hint(left)


async def _execute_many(driver: Any, statement: str, batches: AsyncIterator[Batch], sent: Sent) -> None:
    while batch := await _next(batches, sent):
        left = iter(batch)
        try:
            cursor = await driver.executemany(statement, left)
        finally:
            sent.rows += len(batch) - length_hint(left)
        await cursor.close()


async def _next(batches: AsyncIterator[Batch], sent: Sent) -> Batch | None:
    # Neither plain rows nor a socket that takes whatever is written ever wait, and others have to get their turn.
    await asyncio.sleep(0)
    try:
        return await anext(batches, None)
    except Exception as error:
        sent.failure = error
        raise
