"""A generic repository: the queries that every feature needs, over one model and within the caller's session."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar, Self, overload

from sqlalchemy import ColumnElement, Select, UnaryExpression, func, inspect, select
from sqlalchemy.orm import InstrumentedAttribute, Mapper
from sqlalchemy.orm.attributes import flag_modified
from sqlalchemy.orm.interfaces import ORMOption

from mainspring.errors import NotFound

from ._base import Base, SoftDeleted, Timestamped
from ._listing import CursorQuery, PageQuery
from ._moments import utc_now
from ._session import AsyncReadSession
from ._slices import CursorSlice, NumberedSlice, cut, from_cursor, numbered
from ._soft_delete import including_deleted
from ._upsert import upsert

type Order = ColumnElement[Any] | UnaryExpression[Any] | InstrumentedAttribute[Any]

_MOST_LISTED = 1_000
_STREAM_BATCH = 500


class Store[M: Base]:
    """Rows of one model, as far as the caller may see them. Never commits.

    A subclass narrows what exists with `visible`, which every method goes through, and names in `loads` what comes
    along with each row:

        class AgentStore(Store[Agent]):
            loads = (selectinload(Agent.given_tools),)

            def __init__(self, session: AsyncReadSession, owner: UUID) -> None:
                super().__init__(Agent, session)
                self._owner = owner

            def visible[T: tuple[Any, ...]](self, statement: Select[*T]) -> Select[*T]:
                return statement.where(Agent.user_id == self._owner)

    Where what exists is decided by equal values alone, name them with `only` instead: then rows that are added get
    them, and statements are built once and kept, which `visible` prevents.

        class AgentStore(Store[Agent]):
            def __init__(self, session: AsyncReadSession, owner: UUID) -> None:
                super().__init__(Agent, session, only={"user_id": owner})

    Args:
        model: Whose rows; it has one column as its primary key.
        session: Of the caller's unit of work. With one that only reads, methods that write raise `TypeError`.
        only: Values by attribute that every row of this store has: others do not exist for it, new ones get them, and
            none can be moved away.

    Raises:
        TypeError: The primary key has several columns, or the model has no attribute of a name in `only`.
    """

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
        self._stamped = issubclass(model, Timestamped)
        self._marks = issubclass(model, SoftDeleted)
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

    async def find(self, key: Any) -> M | None:
        """The row with this primary key; None if there is none that is visible.

        It asks the database each time; an object that the session has read before keeps the values it has.
        """
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
        """The page that a client asked for through a `Listing`; what `CursorPage` or `Page` is made from."""
        if isinstance(query, PageQuery):
            total = await self.count(*query.criteria)
            found = await self._all(numbered(self._rows(*query.criteria), query))
            return NumberedSlice(found, total, query.page, query.page_size)
        counted = await self.count(*query.criteria) if query.total else None
        narrowed = self._narrowed(select(self.model).where(*query.criteria))
        by_rows = self.session.get_bind().dialect.name == "postgresql"
        statement = from_cursor(narrowed, query, key=self.key, by_rows=by_rows).options(*self.loads)
        return cut(await self._all(statement), query, total=counted)

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

    async def add(self, row: M) -> M:
        """Store a new row, with what the database fills in.

        Raises:
            ValueError: It belongs to somebody else than this store's rows.
            AlreadyExists: A unique value is taken.
            ConstraintViolated: Another rule of the table does not hold.
        """
        self._adopt(row)
        self.session.add(row)
        await self._flush()
        return row

    async def add_many(self, rows: Sequence[M]) -> Sequence[M]:
        """Store new rows with a few statements; all of them or none. For thousands, `copy_rows` is the quick way.

        Raises:
            AlreadyExists: As `add`.
            ConstraintViolated: As `add`.
        """
        for row in rows:
            self._adopt(row)
        self.session.add_all(rows)
        await self._flush()
        return rows

    async def update(self, row: M, changes: Mapping[str, Any]) -> M:
        """Set attributes of a row by name, and store it; `AgentUpdate.model_dump(exclude_unset=True)` is such a mapping.

        Raises:
            TypeError: The model has no attribute of one of the names.
            ValueError: It would move the row out of this store.
            NotFound: As `save`.
            AlreadyExists: As `add`.
            ConstraintViolated: As `add`.
            ConcurrentUpdate: As `save`.
        """
        self._refuse_unknown(changes)
        self._refuse_foreign(row)
        for name, value in self._only.items():
            if changes.get(name, value) != value:
                raise ValueError(f"{self.model.__name__}.{name} decides to whom a row belongs; it cannot be changed.")
        for name, value in changes.items():
            setattr(row, name, value)
        return await self.save(row)

    def touch(self, row: M) -> None:
        """Count the next flush as a change of this row although only what belongs to it has changed, a row of another
        table: its version grows, and `updated_at` with it.
        """
        if self._stamped:
            stamped: Any = row
            stamped.updated_at = utc_now()
        else:
            plain = [attribute.key for attribute in self._mapper.column_attrs if not attribute.columns[0].primary_key]
            flag_modified(row, next(name for name in plain if name != "version"))

    async def save(self, row: M) -> M:
        """Store what was set on a row.

        Raises:
            NotFound: It is not one of this store's.
            AlreadyExists: As `add`.
            ConstraintViolated: As `add`.
            ConcurrentUpdate: The row is `Versioned`, and somebody has changed it since it was read.
        """
        self._refuse_foreign(row)
        await self._flush()
        return row

    async def upsert(
        self, values: Mapping[str, Any], *, on: Sequence[str], where: ColumnElement[bool] | None = None
    ) -> M:
        """Store a row, or change the one that has the same unique values, in one statement that no other can get
        between.

        Args:
            values: By attribute; those of `on` among them.
            on: The attributes of the unique constraint or index that decides which row is meant.
            where: The condition of that index, if it is a partial one.

        Raises:
            TypeError: A name in `values` or `on` is unknown.
            ValueError: As `add`.
            AlreadyExists: The row exists and is not visible to this store, or another unique value is taken.
        """
        whole = {**values, **self._only}
        moved = sorted(name for name, value in values.items() if whole[name] != value)
        if moved:
            raise ValueError(f"{self.model.__name__}: {', '.join(moved)} is not what this store's rows have.")
        return await upsert(self.session, self.model, whole, on=on, where=where, visible=self._narrowed)

    async def delete(self, row: M) -> None:
        """Delete a row: mark it if the model is `SoftDeleted`, remove it otherwise.

        Raises:
            ConcurrentUpdate: As `save`.
            ConstraintViolated: Other rows refer to it.
        """
        if self._marks:
            await self.update(row, {"deleted_at": utc_now()})
        else:
            await self.purge(row)

    async def restore(self, row: M) -> M:
        """Take back the deletion of a row that `including_deleted()` has found.

        Raises:
            TypeError: The model is not `SoftDeleted`; what was deleted is gone.
            AlreadyExists: A row that was made since holds one of its unique values.
        """
        if not self._marks:
            raise TypeError(f"{self.model.__name__} is not SoftDeleted: a deleted row cannot be restored.")
        return await self.update(row, {"deleted_at": None})

    async def purge(self, row: M) -> None:
        """Remove a row for good, whatever the model.

        Raises:
            ConcurrentUpdate: As `delete`.
            ConstraintViolated: As `delete`.
        """
        self._refuse_foreign(row)
        await self.session.delete(row)
        await self._flush()

    def missing(self) -> NotFound:
        """The error for a row that does not exist or is not visible. A subclass may speak of its own noun."""
        return NotFound(f"There is no {self.model.__name__.lower()} with this id.")

    def _rows(self, *criteria: ColumnElement[bool]) -> Select[Any]:
        return self._narrowed(select(self.model).where(*criteria)).options(*self.loads)

    def _narrowed(self, statement: Select[Any]) -> Select[Any]:
        own = (getattr(self.model, name) == value for name, value in self._only.items())
        return self.visible(statement.where(*own))

    def _adopt(self, row: M) -> None:
        for name, value in self._only.items():
            if getattr(row, name) is None:
                setattr(row, name, value)
        if self._is_foreign(row):
            raise ValueError(f"This {self.model.__name__} belongs to somebody else than the rows of this store.")

    def _refuse_foreign(self, row: M) -> None:
        if self._is_foreign(row):
            raise self.missing()

    def _is_foreign(self, row: M) -> bool:
        return any(getattr(row, name) != value for name, value in self._only.items())

    def _refuse_unknown(self, names: Iterable[str]) -> None:
        unknown = set(names) - set(self._mapper.attrs.keys())
        if unknown:
            raise TypeError(f"{self.model.__name__} has no {', '.join(sorted(unknown))}.")

    async def _scalar(self, statement: Select[Any]) -> Any:
        return await self.session.scalar(statement, execution_options=self._options)

    async def _all(self, statement: Select[Any]) -> Sequence[M]:
        return (await self.session.scalars(statement, execution_options=self._options)).all()

    async def _flush(self) -> None:
        await self.session.flush()

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
        return await self._all(self._rows(*criteria).order_by(*order_by, self.key).limit(limit).offset(offset))
