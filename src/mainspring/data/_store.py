"""A generic repository: the queries that every feature needs, over one model and within the caller's session."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement
from sqlalchemy.orm.attributes import flag_modified

from ._base import Base, SoftDeleted, Timestamped
from ._moments import utc_now
from ._store_reads import StoreReads
from ._upsert import upsert


class Store[M: Base](StoreReads[M]):
    """Rows of one model, as far as the caller may see them. Never commits.

    A subclass says with `only` which rows exist for it, and names in `loads` what comes along with each:

        class AgentStore(Store[Agent]):
            loads = (selectinload(Agent.given_tools),)

            def __init__(self, session: AsyncReadSession, owner: UUID) -> None:
                super().__init__(Agent, session, only={"user_id": owner})

    Where that takes more than equal values, override `visible`, which every method goes through.

    In a session that only reads, a store without `visible` and `loads` reads straight through the driver, by statements
    that are planned once (ADR 16). Each then sees what is committed at its own moment, as under READ COMMITTED; and
    `do_orm_execute` listeners of one's own do not see it.

    Args:
        model: Whose rows; it has one column as its primary key.
        session: Of the caller's unit of work. With one that only reads, methods that write raise `TypeError`.
        only: Values by attribute that every row of this store has: others do not exist for it, new ones get them, and
            none can be moved away.

    Raises:
        TypeError: The primary key has several columns, or the model has no attribute of a name in `only`.
    """

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
        if self._is(Timestamped):
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
        if self._is(SoftDeleted):
            await self.update(row, {"deleted_at": utc_now()})
        else:
            await self.purge(row)

    async def restore(self, row: M) -> M:
        """Take back the deletion of a row that `including_deleted()` has found.

        Raises:
            TypeError: The model is not `SoftDeleted`; what was deleted is gone.
            AlreadyExists: A row that was made since holds one of its unique values.
        """
        if not self._is(SoftDeleted):
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

    def _is(self, kind: type) -> bool:
        return issubclass(self.model, kind)

    async def _flush(self) -> None:
        await self.session.flush()
