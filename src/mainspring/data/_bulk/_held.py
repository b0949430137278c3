"""Objects that a session holds, brought up to date with what was changed beside them."""

from collections.abc import Sequence
from itertools import batched
from typing import Any

from sqlalchemy import Row, inspect, select, tuple_
from sqlalchemy.orm import Mapper
from sqlalchemy.orm.attributes import set_committed_value

from mainspring.data._base import Base
from mainspring.data._session import AsyncWriteSession

_AT_ONCE = 500


async def read_again(session: AsyncWriteSession, model: type[Base]) -> None:
    """Give the objects of a model that a session holds the values that their rows have now.

    Expired instead, they would fail at the next look at them, as all that loads by itself does under asyncio. What they
    have loaded of other tables stays.
    """
    held = [item for item in session.identity_map.values() if isinstance(item, model)]
    mapper: Mapper[Any] = inspect(model)
    names = [attribute.key for attribute in mapper.column_attrs]
    columns = [attribute.columns[0] for attribute in mapper.column_attrs]
    key = tuple_(*mapper.primary_key)
    connection = await session.connection() if held else None
    for some in batched(held, _AT_ONCE, strict=False):
        assert connection is not None
        by_key = {tuple(mapper.primary_key_from_instance(item)): item for item in some}
        found = await connection.execute(select(*columns, *mapper.primary_key).where(key.in_(by_key)))
        for row in found:
            _set(by_key, row, names)


def _set(by_key: dict[tuple[Any, ...], Base], row: Row[Any], names: Sequence[str]) -> None:
    values = tuple(row)
    item = by_key[values[len(names) :]]
    for name, value in zip(names, values, strict=False):
        set_committed_value(item, name, value)
