"""INSERT … ON CONFLICT DO UPDATE, with what the ORM would have done beside it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, inspect, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Mapper

from mainspring.errors import AlreadyExists

from ._base import Base, Versioned
from ._session import AsyncReadSession, AsyncWriteSession
from ._translate import translated

type _Narrow = Callable[[Select[Any]], Select[Any]]


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
    statement = insert.values({mapper.column_attrs[name].columns[0].name: value for name, value in values.items()})
    statement = statement.on_conflict_do_update(
        index_elements=[mapper.column_attrs[name].columns[0] for name in on],
        index_where=where,
        set_=changes(mapper, statement.excluded, [name for name in values if name not in on]),
        # A row that this store cannot see must not be changed through it either.
        where=visible(select(model)).whereclause,
    )
    with translated():
        stored: M | None = await session.scalar(
            statement.returning(model), execution_options={"populate_existing": True}
        )
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
