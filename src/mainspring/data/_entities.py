"""Makes objects of the session out of rows that were read directly, as the ORM would have loaded them."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import inspect
from sqlalchemy.orm import Mapper
from sqlalchemy.orm.attributes import instance_state, set_committed_value

from ._base import Base
from ._planning import plain_columns
from ._plans import Row
from ._session import AsyncReadSession

_QUIET = frozenset({"raise", "raise_on_sql", "noload", "write_only", "dynamic"})


def is_plain(model: type[Base]) -> bool:
    """Whether its objects are their columns and nothing else: then a row is all that it takes to make one.

    Not where it inherits from another table's model, where a column is deferred or computed, where something is loaded
    along with it by its own declaration, and where somebody listens to its objects being loaded.
    """
    # Whoever listens may begin to at any time.
    return _is_declared_plainly(model) and not inspect(model).class_manager.dispatch.load


@lru_cache(maxsize=1024)
def _is_declared_plainly(model: type[Base]) -> bool:
    mapper: Mapper[Any] = inspect(model)
    return (
        mapper.inherits is None
        and mapper.polymorphic_on is None
        and len(list(mapper.self_and_descendants)) == 1
        and all(attribute.key in plain_columns(model) and not attribute.deferred for attribute in mapper.column_attrs)
        and all(relationship.lazy in _QUIET for relationship in mapper.relationships)
        and not mapper.composites
    )


@lru_cache(maxsize=1024)
def attribute_names(model: type[Base]) -> tuple[str, ...]:
    """The attributes of its columns, in the order in which `entities` expects their values."""
    mapper: Mapper[Any] = inspect(model)
    return tuple(attribute.key for attribute in mapper.column_attrs)


def entities[M: Base](model: type[M], rows: Sequence[Row], session: AsyncReadSession) -> list[M]:
    """The rows as objects of the session. One that the session has read before keeps the values it has, and gets those
    that it has not, because they have expired or were not asked for.

    Args:
        model: A plain one.
        rows: The values of all its columns, as `attribute_names` has them.
        session: Where the objects belong.
    """
    mapper: Mapper[M] = inspect(model)
    names = attribute_names(model)
    place = names.index(mapper.get_property_by_column(mapper.primary_key[0]).key)
    known, marker = session.identity_map, session.sync_session.hash_key
    new_instance = mapper.class_manager.new_instance
    found = []
    for row in rows:
        key = mapper.identity_key_from_primary_key((row[place],))
        made = known.get(key) if known else None
        if made is None:
            made = new_instance()
            state = instance_state(made)
            state.dict.update(zip(names, row, strict=True))
            # What make_transient_to_detached() and Session.add() come to for an object that has all its columns and
            # nothing that cascades, at a fifth of their time.
            state.key, state.session_id = key, marker
            known.add(state)
        elif instance_state(made).unloaded:
            _complete(made, names, row)
        found.append(made)
    return found


def _complete(made: object, names: Sequence[str], row: Row) -> None:
    missing = instance_state(made).unloaded
    for name, value in zip(names, row, strict=True):
        if name in missing:
            set_committed_value(made, name, value)
