"""Changes of any number of rows, each with values of its own: updates, and inserts that update what is there."""

from collections.abc import Mapping, Sequence
from contextlib import aclosing
from types import MappingProxyType
from typing import Any, Literal

from sqlalchemy import ColumnElement

from mainspring.data._base import Base
from mainspring.data._session import AsyncWriteSession
from mainspring.data._translate import translated

from ._feed import BATCH, Feed
from ._guards import BulkChange, guarded, refuse_reader
from ._held import read_again
from ._join import Join
from ._rows import Progress, Rows
from ._source import source_of


async def update_rows[M: Base](
    session: AsyncWriteSession,
    model: type[M],
    rows: Rows,
    *,
    key: Sequence[str] = (),
    columns: Sequence[str] = (),
    only: Mapping[str, Any] = MappingProxyType({}),
    missing: Literal["refuse", "skip"] = "refuse",
    progress: Progress | None = None,
) -> int:
    """Change rows by the thousand or the million, each to values of its own.

    All of them or none, as in `copy_rows`, which says what rows may be. `onupdate` columns are filled in, the version of
    a `Versioned` row grows; a row that is marked as deleted is missing. Objects of the model that the session holds get
    the new values.

    Args:
        session: Of a unit of work.
        model: Whose table, which must be one.
        rows: Each with the key and the values to set.
        key: The attributes that say which row is meant; the primary key by default. They are not changed, and should be
            unique and have an index.
        columns: The attributes to take, those of `key` among them.
        only: Values by attribute; rows that have others are missing.
        missing: Whether rows without their like in the table are an error, or are left out of the count.
        progress: Called as by `copy_rows`, while the rows are read; the change itself is one statement.

    Returns:
        How many rows were changed.

    Raises:
        NotFound: A row is missing, and that is refused; `errors` names the first ten.
        ValidationFailed: Two rows have the same key, or a row does not fit.
        AlreadyExists: A unique value is taken.
        ConstraintViolated: A reference or a check does not hold.
        TypeError: A name is unknown, the key is not among the columns, or nothing is left to set.
    """
    refuse_reader(session, model)
    dialect = session.get_bind().dialect
    feed = await Feed.begin(model, rows, columns=columns, only={}, dialect=dialect, defaults=False, batch=BATCH)
    if feed is None:
        return 0
    change = BulkChange("update", model, feed.plan.names, only)
    join = Join(feed.plan, key or feed.plan.primary_key, only)
    async with guarded(session, change), aclosing(feed.batches(progress)) as batches:
        connection = await session.connection()
        with translated():
            async with source_of(connection, feed.plan, batches) as source:
                change.rows = await join.update(connection, source)
                if change.rows < feed.rows:
                    # Either of the two is why. What was changed by chance is taken back with everything else.
                    await join.refuse_duplicates(connection, source)
                    if missing == "refuse":
                        await join.refuse_missing(connection, source)
        await read_again(session, model)
    return change.rows


async def upsert_rows[M: Base](
    session: AsyncWriteSession,
    model: type[M],
    rows: Rows,
    *,
    on: Sequence[str],
    where: ColumnElement[bool] | None = None,
    columns: Sequence[str] = (),
    only: Mapping[str, Any] = MappingProxyType({}),
    duplicates: Literal["refuse", "last"] = "refuse",
    progress: Progress | None = None,
) -> int:
    """Store rows by the thousand or the million; those whose unique values are there already change the row that has them.

    All of them or none, as in `copy_rows`, which says what rows may be and where the rest of a new row comes from. A row
    that exists gets the values given here and nothing else: no defaults, but `onupdate` columns and the next version.
    One that is marked as deleted and in the way stays marked. Objects of the model that the session holds get the new
    values.

    Args:
        session: Of a unit of work.
        model: Whose table, which must be one.
        rows: Each with the attributes of `on`.
        on: The attributes of the unique constraint or index that decides which row is meant.
        where: The condition of that index, if it is a partial one.
        columns: The attributes to take, those of `on` among them.
        only: Values by attribute that new rows get and rows that are changed must have.
        duplicates: Two rows that mean the same one are refused, or the last of them counts.
        progress: Called as by `copy_rows`, while the rows are read; the change itself is one statement.

    Returns:
        How many rows were stored or changed.

    Raises:
        ValidationFailed: Two rows mean the same one, and that is refused, or a row does not fit.
        AlreadyExists: A row in the way has other values than `only`, or another unique value is taken.
        ConstraintViolated: A reference or a check does not hold.
        TypeError: A name is unknown, or `on` is not among the columns.
    """
    refuse_reader(session, model)
    dialect = session.get_bind().dialect
    feed = await Feed.begin(model, rows, columns=columns, only=only, dialect=dialect, defaults=True, batch=BATCH)
    if feed is None:
        return 0
    change = BulkChange("upsert", model, feed.plan.names, only)
    join = Join(feed.plan, on, only)
    async with guarded(session, change), aclosing(feed.batches(progress)) as batches:
        connection = await session.connection()
        with translated():
            async with source_of(connection, feed.plan, batches) as source:
                if duplicates == "refuse":
                    await join.refuse_duplicates(connection, source)
                change.rows = await join.upsert(connection, source, where, last=duplicates == "last")
        await read_again(session, model)
    return change.rows
