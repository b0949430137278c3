"""Rows straight into the model of the answer: only the columns that it shows, and no object of the ORM in between."""

from collections.abc import Hashable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Protocol

from pydantic import BaseModel
from sqlalchemy import ColumnElement, Select, inspect, select

from mainspring.errors import NotFound

from ._base import Base
from ._confidential import is_confidential
from ._keyset import SortTerm
from ._listing import CursorQuery
from ._planning import LIMIT, Narrow, Order, by_key, limited, order_form
from ._plans import Row
from ._slices import CursorSlice, Way, cut, from_cursor, planned_cursor


class Source(Protocol):
    """What a projection reads from: a store."""

    model: Any
    key: ColumnElement[Any]

    @property
    def way(self) -> Way:
        """How pages are read on its database."""

    async def columns(
        self, names: tuple[str, ...], form: Hashable, narrow: Narrow, values: Mapping[str, Any]
    ) -> Sequence[Row] | None:
        """Rows by a plan; None where the store has to be asked with a statement."""

    async def selected(self, statement: Select[Any]) -> Sequence[Row]:
        """Rows of a statement on columns, narrowed to what is visible."""

    async def count(self, *criteria: ColumnElement[bool]) -> int:
        """How many rows fit."""

    def bound(self, query: CursorQuery[Any]) -> CursorQuery[Any]:
        """The query, with cursors that belong to the store's rows."""

    def missing(self) -> NotFound:
        """The error for a row that is not there."""


class Projection[O: BaseModel]:
    """Reads a store's rows as another model. What it gives is not tracked: it cannot be changed and stored.

    Args:
        store: Whose rows.
        output: Each of its fields is an attribute of the store's model, by name or `validation_alias`.

    Raises:
        TypeError: The model has no column for a field, or it is confidential.
    """

    def __init__(self, store: Source, output: type[O]) -> None:
        self._store = store
        self._columns = columns_for(store.model, output)
        self._output = output

    async def find(self, key: Any) -> O | None:
        """The row with this primary key; None if there is none that is visible."""
        rows = await self._store.columns(self._columns, ("key",), by_key(self._store.model), {"key": key})
        if rows is None:
            rows = await self._select(self._columns, lambda statement: statement.where(self._store.key == key))
        return self._made(rows[0]) if rows else None

    async def get(self, key: Any) -> O:
        """The row with this primary key.

        Raises:
            NotFound: There is none, or it is not visible.
        """
        found = await self.find(key)
        if found is None:
            raise self._store.missing()
        return found

    async def page(self, query: CursorQuery[Any]) -> CursorSlice[O]:
        """The page that a client asked for through a `Listing`."""
        query = self._store.bound(query)
        total = await self._store.count(*query.criteria) if query.total else None
        edges = tuple(term.attribute.key for term in query.terms if term.attribute.key not in self._columns)
        columns = (*self._columns, *edges)
        place = {name: number for number, name in enumerate(columns)}

        def value(row: Row, term: SortTerm) -> Any:
            return row[place[term.attribute.key]]

        plan = planned_cursor(query, self._store.way)
        found = None
        if plan is not None:
            found = await self._store.columns(columns, plan.form, plan.narrow, plan.values)
        if found is None:
            found = await self._select(
                columns, lambda statement: from_cursor(statement.where(*query.criteria), query, self._store.way)
            )
        page = cut(found, query, total=total, value=value)
        items = [self._made(row) for row in page.items]
        return CursorSlice(items, page.next_cursor, page.previous_cursor, page.total)

    async def _select(self, columns: tuple[str, ...], narrow: Narrow) -> Sequence[Row]:
        selected = select(*(getattr(self._store.model, name) for name in columns))
        return await self._store.selected(narrow(selected))

    def _made(self, row: Row) -> O:
        # A page has read the columns of its order behind those that are shown.
        made: O = self._output.__pydantic_validator__.validate_python(dict(zip(self._columns, row, strict=False)))
        return made

    # Last, because inside the class the name would stand for it afterwards.
    async def list(self, *, order_by: Sequence[Order] = (), limit: int) -> Sequence[O]:
        """The first rows in this order and then by primary key."""
        order = (*order_by, self._store.key)
        form = order_form(self._store.model, order)
        rows = None
        if form is not None:
            rows = await self._store.columns(self._columns, form, limited(order), {LIMIT: limit})
        if rows is None:
            rows = await self._select(self._columns, lambda statement: statement.order_by(*order).limit(limit))
        return [self._made(row) for row in rows]


@lru_cache(maxsize=1024)
def columns_for(model: type[Base], output: type[BaseModel]) -> tuple[str, ...]:
    """The attributes of a model that the fields of an output show."""
    columns = {attribute.key: attribute.columns[0] for attribute in inspect(model).column_attrs}
    names = []
    for name, field in output.model_fields.items():
        wanted = field.validation_alias if isinstance(field.validation_alias, str) else name
        if wanted not in columns:
            raise TypeError(f"{output.__name__}.{name}: {model.__name__} has no column {wanted}.")
        if is_confidential(columns[wanted]):
            raise TypeError(f"{output.__name__}.{name}: {model.__name__}.{wanted} is confidential.")
        names.append(wanted)
    return tuple(names)
