"""What a store reads: the queries that every feature needs, over one model and within the caller's session."""

from collections.abc import AsyncIterator, Hashable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar, Self, overload

from pydantic import BaseModel
from sqlalchemy import ClauseElement, ColumnElement, Select, func, inspect, select
from sqlalchemy.orm import Mapper
from sqlalchemy.orm.interfaces import ORMOption

from mainspring.errors import NotFound

from ._base import Base
from ._entities import attribute_names, entities, is_plain
from ._listing import CursorQuery, PageQuery
from ._planning import LIMIT, Narrow, Order, Shape, by_key, limited, order_form, own_values, plain_columns
from ._plans import Row
from ._projection import Projection
from ._session import AsyncReadSession
from ._slices import CursorSlice, NumberedSlice, Way, cut, from_cursor, numbered, owned, planned_cursor
from ._soft_delete import including_deleted
from ._tenancy import may_read_directly

_MOST_LISTED = 1_000
_STREAM_BATCH = 500


class StoreReads[M: Base]:
    """The half of a `Store` that reads; its arguments are described there."""

    loads: ClassVar[Sequence[ORMOption]] = ()
    """What is loaded along with each row."""

    def __init__(
        self, model: type[M], session: AsyncReadSession, *, only: Mapping[str, Any] = MappingProxyType({})
    ) -> None:
        self.model = model
        self.session = session
        self._mapper: Mapper[M] = inspect(model)
        if len(self._mapper.primary_key) != 1:
            raise TypeError(f"{model.__name__} has a primary key of several columns; write its queries by hand.")
        self.key: ColumnElement[Any] = self._mapper.primary_key[0]
        self._options: Mapping[str, Any] = {}
        self._refuse_unknown(only)
        self._only = dict(only)

    def visible(self, statement: Select[Any]) -> Select[Any]:
        """Narrow a statement to what exists as far as this store is concerned. Everything, by default."""
        return statement

    def including_deleted(self) -> Self:
        """The same store that also sees rows marked as deleted, to restore or purge them."""
        seeing = object.__new__(type(self))
        seeing.__dict__ |= self.__dict__ | {"_options": including_deleted()}
        return seeing

    def into[O: BaseModel](self, output: type[O]) -> Projection[O]:
        """The same rows as another model: `await agents.into(AgentOut).get(key)`.

        The quickest way to an answer: it reads the columns that are shown and makes the model from them.

        Raises:
            TypeError: The model has no column for a field of it.
        """
        return Projection(self, output)

    async def find(self, key: Any) -> M | None:
        """The row with this primary key; None if there is none that is visible.

        It asks the database each time; an object that the session has read before keeps the values it has.
        """
        rows = await self._directly(("key",), by_key(self.model), {"key": key})
        if rows is not None:
            return rows[0] if rows else None
        found: M | None = await self._scalar(self._rows().where(self.key == key))
        return found

    async def get(self, key: Any) -> M:
        """The row with this primary key.

        Raises:
            NotFound: There is none, or it is not visible: the two are told apart to nobody.
        """
        found = await self.find(key)
        if found is None:
            raise self.missing()
        return found

    async def get_many(self, keys: Sequence[Any]) -> Sequence[M]:
        """The rows with these primary keys, in their order; a key that is named twice comes once.

        Raises:
            NotFound: One of them is missing or not visible.
        """
        wanted = list(dict.fromkeys(keys))
        if not wanted:
            return []
        found = await self._all(self._rows().where(self.key.in_(wanted)))
        by_key = {self._mapper.primary_key_from_instance(row)[0]: row for row in found}
        if len(by_key) < len(wanted):
            raise self.missing()
        return [by_key[key] for key in wanted]

    async def first(self, *criteria: ColumnElement[bool], order_by: Sequence[Order] = ()) -> M | None:
        """The first row that fits all criteria, in this order and then by primary key; None if none does."""
        found: M | None = await self._scalar(self._rows(*criteria).order_by(*order_by, self.key).limit(1))
        return found

    async def exists(self, *criteria: ColumnElement[bool]) -> bool:
        """Whether any visible row fits all criteria."""
        return await self._scalar(self._narrowed(select(self.key).where(*criteria)).limit(1)) is not None

    async def count(self, *criteria: ColumnElement[bool]) -> int:
        """How many visible rows fit all criteria. It reads them all: on a large table that takes its time."""
        statement = self._narrowed(select(func.count()).select_from(self.model).where(*criteria))
        counted: int = await self._scalar(statement)
        return counted

    @overload
    async def page(self, query: CursorQuery[M]) -> CursorSlice[M]: ...

    @overload
    async def page(self, query: PageQuery[M]) -> NumberedSlice[M]: ...

    async def page(self, query: CursorQuery[M] | PageQuery[M]) -> CursorSlice[M] | NumberedSlice[M]:
        """The page that a client asked for through a `Listing`; what `CursorPage` or `Page` is made from.

        Raises:
            InvalidCursor: The cursor was given out by a store of other rows (`only`).
        """
        if isinstance(query, PageQuery):
            total = await self.count(*query.criteria)
            found = await self._all(numbered(self._rows(*query.criteria), query))
            return NumberedSlice(found, total, query.page, query.page_size)
        query = self.bound(query)
        counted = await self.count(*query.criteria) if query.total else None
        plan = planned_cursor(query, self.way)
        rows = await self._directly(plan.form, plan.narrow, plan.values) if plan is not None else None
        if rows is None:
            narrowed = self._narrowed(select(self.model).where(*query.criteria))
            rows = await self._all(from_cursor(narrowed, query, self.way).options(*self.loads))
        return cut(rows, query, total=counted)

    async def stream(
        self, *criteria: ColumnElement[bool], order_by: Sequence[Order] = (), batch: int = _STREAM_BATCH
    ) -> AsyncIterator[M]:
        """Every row that fits, read `batch` at a time: memory stays flat however many there are.

        The session's connection is busy until the end of the loop; statements inside it go through another session.
        """
        statement = self._rows(*criteria).order_by(*order_by, self.key)
        options = {**self._options, "yield_per": batch}
        rows = await self.session.stream_scalars(statement, execution_options=options)
        try:
            async for row in rows:
                yield row
        finally:
            await rows.close()

    def missing(self) -> NotFound:
        """The error for a row that does not exist or is not visible. A subclass may speak of its own noun."""
        return NotFound(f"There is no {self.model.__name__.lower()} with this id.")

    def _rows(self, *criteria: ColumnElement[bool]) -> Select[Any]:
        return self._narrowed(select(self.model).where(*criteria)).options(*self.loads)

    def _narrowed(self, statement: Select[Any]) -> Select[Any]:
        own = (getattr(self.model, name) == value for name, value in self._only.items())
        return self.visible(statement.where(*own))

    def _refuse_unknown(self, names: Iterable[str]) -> None:
        unknown = set(names) - set(self._mapper.attrs.keys())
        if unknown:
            raise TypeError(f"{self.model.__name__} has no {', '.join(sorted(unknown))}.")

    async def _directly(self, form: Hashable, narrow: Narrow, values: Mapping[str, Any]) -> Sequence[M] | None:
        """Objects by a plan; None where that would not give what the session does."""
        if self.loads or not is_plain(self.model):
            return None
        rows = await self.columns(attribute_names(self.model), form, narrow, values)
        return None if rows is None else entities(self.model, rows, self.session)

    @property
    def way(self) -> Way:
        """How pages are read on the session's database. For projections."""
        return Way(self.key, by_rows=self.session.get_bind().dialect.name == "postgresql")

    def bound(self, query: CursorQuery[M]) -> CursorQuery[M]:
        """The query, with cursors that belong to this store's rows. For projections."""
        return owned(query, self._only)

    async def columns(
        self, names: tuple[str, ...], form: Hashable, narrow: Narrow, values: Mapping[str, Any]
    ) -> Sequence[Row] | None:
        """Rows by a plan; None where this store has to be asked with a statement. For projections."""
        reader = self.session.direct
        if reader is None or type(self).visible is not StoreReads.visible or not self._is_plannable(names):
            return None
        shape = Shape(self.model, names, tuple(self._only), bool(self._options), form, narrow)
        held = await self.session.connection() if self.session.in_transaction() else None
        return await reader.run(reader.plan(shape), {**values, **own_values(self._only)}, within=held)

    def _is_plannable(self, names: Iterable[str]) -> bool:
        session = self.session
        return (
            plain_columns(self.model).issuperset((*names, *self._only))
            and not any(value is None or isinstance(value, ClauseElement) for value in self._only.values())
            and may_read_directly(self.model, self._only, session)
            # A statement of the session would flush them first, and say that they cannot be stored.
            and not session.identity_map.check_modified()
            and not session.new
        )

    async def selected(self, statement: Select[Any]) -> Sequence[Row]:
        """Rows of a statement on columns, narrowed to what is visible. For projections."""
        result = await self.session.execute(self._narrowed(statement), execution_options=self._options)
        rows: Sequence[Row] = result.all()
        return rows

    async def _scalar(self, statement: Select[Any]) -> Any:
        return await self.session.scalar(statement, execution_options=self._options)

    async def _all(self, statement: Select[Any]) -> Sequence[M]:
        return (await self.session.scalars(statement, execution_options=self._options)).all()

    # Last, because inside the class the name would stand for it afterwards.
    async def list(
        self,
        *criteria: ColumnElement[bool],
        order_by: Sequence[Order] = (),
        limit: int = _MOST_LISTED,
        offset: int = 0,
    ) -> Sequence[M]:
        """Rows that fit all criteria, in this order and then by primary key.

        Args:
            criteria: All of them have to hold.
            order_by: Columns, `.desc()` where the largest come first.
            limit: At most so many; 1,000 by default, so that a table that grew does not become a request that never
                ends. `stream` reads everything, `page` what a client asked for.
            offset: Skips so many, and reads them all the same.
        """
        order = (*order_by, self.key)
        form = None if criteria or offset else order_form(self.model, order)
        rows = await self._directly(form, limited(order), {LIMIT: limit}) if form is not None else None
        if rows is not None:
            return rows
        return await self._all(self._rows(*criteria).order_by(*order).limit(limit).offset(offset))
