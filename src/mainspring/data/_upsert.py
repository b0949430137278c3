"""INSERT … ON CONFLICT DO UPDATE, with what the ORM would have done beside it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Executable, Select, and_, inspect, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Mapper

from mainspring.errors import AlreadyExists

from ._base import Base, Versioned
from ._session import AsyncReadSession, AsyncWriteSession
from ._translate import translated

type _Narrow = Callable[[Select[Any]], Select[Any]]

UPSERT = "mainspring_upsert"
"""The execution option under which a statement says what it would be in steps."""


@dataclass(frozen=True, slots=True)
class Upsert:
    """The same in steps, for a listener that has to know what was there before.

    Attributes:
        match: Which row is meant.
        attempt: The statement that makes it, or gives nothing if it is there.
    """

    match: ColumnElement[bool]
    attempt: Executable


async def upsert[M: Base](
    session: AsyncReadSession,
    model: type[M],
    values: Mapping[str, Any],
    *,
    on: Sequence[str],
    where: ColumnElement[bool] | None,
    visible: _Narrow,
) -> M:
    """See `Store.upsert`."""
    mapper: Mapper[M] = inspect(model)
    unknown = {*values, *on} - set(mapper.column_attrs.keys())
    if unknown or not set(on) <= values.keys():
        raise TypeError(f"{model.__name__}: unknown, or missing in the values: {', '.join(sorted(unknown or on))}.")
    if not isinstance(session, AsyncWriteSession):
        raise TypeError(f"A ReadSession cannot store {model.__name__}. Take a WriteSession instead.")
    await session.flush()
    dialect = session.get_bind().dialect.name
    insert = postgresql.insert(model) if dialect == "postgresql" else sqlite.insert(model)
    new = insert.values({mapper.column_attrs[name].columns[0].name: value for name, value in values.items()})
    unique = [mapper.column_attrs[name].columns[0] for name in on]
    statement = new.on_conflict_do_update(
        index_elements=unique,
        index_where=where,
        set_=changes(mapper, new.excluded, [name for name in values if name not in on]),
        # A row that this store cannot see must not be changed through it either.
        where=visible(select(model)).whereclause,
    )
    match = and_(
        *(column == values[name] for column, name in zip(unique, on, strict=True)), *([] if where is None else [where])
    )
    attempt = new.on_conflict_do_nothing(index_elements=unique, index_where=where).returning(model)
    options = {"populate_existing": True, UPSERT: Upsert(match, attempt)}
    with translated():
        stored: M | None = await session.scalar(statement.returning(model), execution_options=options)
    if stored is None:
        raise AlreadyExists("Something with these values already exists.")
    return stored


def changes(mapper: Mapper[Any], excluded: Any, names: Sequence[str]) -> dict[str, Any]:
    """What an existing row gets, by column: the values of the row in its way, and what the ORM would have filled in."""
    columns = {attribute.key: attribute.columns[0] for attribute in mapper.column_attrs}
    changed = {columns[name].name: excluded[columns[name].name] for name in names}
    for name, column in columns.items():
        # The ORM would have filled in these.
        default: Any = column.onupdate
        if default is not None and name not in names:
            changed[column.name] = default.arg(None) if default.is_callable else default.arg
    if issubclass(mapper.class_, Versioned):
        changed["version"] = mapper.class_.version + 1
    return changed
