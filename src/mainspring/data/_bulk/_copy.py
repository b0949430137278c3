"""Inserts of any number of rows."""

from collections.abc import Mapping, Sequence
from contextlib import aclosing
from types import MappingProxyType
from typing import Any

from mainspring.data._base import Base
from mainspring.data._session import AsyncWriteSession

from ._feed import BATCH, Feed
from ._guards import BulkChange, guarded, refuse_reader, unhurried
from ._rows import Progress, Rows
from ._sending import send
from ._source import insert_from, may_copy, source_of


async def copy_rows[M: Base](
    session: AsyncWriteSession,
    model: type[M],
    rows: Rows,
    *,
    columns: Sequence[str] = (),
    only: Mapping[str, Any] = MappingProxyType({}),
    batch: int = BATCH,
    progress: Progress | None = None,
) -> int:
    """Store new rows by the thousand or the million: by COPY on PostgreSQL, by one prepared INSERT on SQLite.

    They are part of the unit of work, all of them or none, also for a caller who catches the error. Rows are read as the
    database takes them, so memory stays flat however many there are. Objects in the session are flushed before; none are
    made of the new rows, and the ORM's events do not see them: `BulkChange` tells how a model takes notice.

    The model's defaults made in Python (`new_id`) fill in what the rows do not have, and the database's own what is left;
    a default that asks for the statement's context cannot be used. Values pass through the types of their columns.

    Args:
        session: Of a unit of work. Neither `rows` nor `progress` may use it meanwhile: its connection is busy.
        model: Whose table, which must be one.
        rows: An iterable or an asynchronous one: mappings by attribute, tuples, Pydantic models, or other objects. All in
            the form of the first one; mappings with its keys.
        columns: The attributes to take, in the order that tuples have them. Needless for mappings and Pydantic models.
        only: Values by attribute that every row gets, as in `Store`.
        batch: Rows that are read, shaped and reported at a time. More hold up the event loop for longer.
        progress: Called after each batch with how many rows were handed over so far; may be asynchronous.

    Returns:
        How many rows were stored.

    Raises:
        ValidationFailed: A row does not fit; says which, as `errors` do.
        AlreadyExists: A unique value is taken; says which row has it.
        ConstraintViolated: A reference or a check does not hold; says which row, where the database tells.
        TypeError: The columns cannot be written in bulk; says why.
    """
    refuse_reader(session, model)
    dialect = session.get_bind().dialect
    feed = await Feed.begin(model, rows, columns=columns, only=only, dialect=dialect, defaults=True, batch=batch)
    if feed is None:
        return 0
    change = BulkChange("copy", model, feed.plan.names, only)
    async with guarded(session, change), aclosing(feed.batches(progress)) as batches:
        connection = await session.connection()
        plan = feed.plan
        if await may_copy(connection, plan):
            names = [column.name for column in plan.columns]
            async with unhurried(connection):
                await send(
                    connection, plan.table.name, names, batches, schema=plan.table.schema, discreet=plan.discreet
                )
        else:
            async with source_of(connection, plan, batches) as source:
                await insert_from(connection, plan, source)
        change.rows = feed.rows
    return change.rows
