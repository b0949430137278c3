"""The statements that bring a source of rows together with a table."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, CursorResult, Select, and_, exists, func, or_, select, true, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from mainspring.data._base import SoftDeleted, Versioned
from mainspring.data._upsert import changes
from mainspring.errors import AlreadyExists, FieldError, NotFound, ValidationFailed

from ._plan import Plan
from ._source import Source

_NAMED = 10


class Join:
    """A plan's table and the rows of a source, joined by a key.

    Args:
        plan: Of the source.
        key: The attributes that both are joined by.
        only: Values by attribute that a row of the table must have to be changed.

    Raises:
        TypeError: The key is not among the plan's columns, the version is, or nothing is left to set.
    """

    def __init__(self, plan: Plan[Any], key: Sequence[str], only: Mapping[str, Any]) -> None:
        self._plan = plan
        self._model = plan.model
        absent = set(key) - set(plan.names)
        if absent or not key:
            raise TypeError(
                f"The rows do not have {', '.join(sorted(absent)) or 'a key'}, by which they would be found."
            )
        if issubclass(self._model, Versioned) and "version" in plan.names:
            raise TypeError(f"{self._model.__name__}.version counts by itself; leave it out.")
        self._key = [plan.column(name) for name in key]
        self._set = [name for name in plan.names if name not in key]
        self._only = [plan.column(name) == value for name, value in only.items()]

    async def refuse_duplicates(self, connection: AsyncConnection, source: Source) -> None:
        """Refuse rows with the same key, of which it would be chance which one counts.

        Raises:
            ValidationFailed: Two have the same.
        """
        key = [source[column] for column in self._key]
        pairs = (
            select(func.min(source.number), func.max(source.number))
            # Nothing is not the same as nothing, to a unique constraint neither.
            .where(*(column.is_not(None) for column in key))
            .group_by(*key)
            .having(func.count() > 1)
            .limit(1)
        )
        pair = (await connection.execute(pairs, source.parameters)).one_or_none()
        if pair is not None:
            names = ", ".join(column.key for column in self._key)
            says = f"Rows {pair[0]} and {pair[1]} have the same {names}."
            raise ValidationFailed(says, errors=[FieldError(("rows", pair[1] - 1), says, "bulk_duplicate")])

    async def update(self, connection: AsyncConnection, source: Source) -> int:
        """Change the rows that have a counterpart; how many."""
        if not self._set:
            raise TypeError("The rows have nothing but their key; there is nothing to set.")
        table = self._plan.table
        values = {self._plan.column(name).name: source[self._plan.column(name)] for name in self._set}
        if issubclass(self._model, Versioned):
            values["version"] = table.c.version + 1
        statement = update(table).values(values).where(*self._meets(source))
        result: CursorResult[Any] = await connection.execute(statement, source.parameters)
        return result.rowcount

    async def refuse_missing(self, connection: AsyncConnection, source: Source) -> None:
        """Refuse rows without a counterpart.

        Raises:
            NotFound: Always; it names the first ten.
        """
        alone = select(source.number).where(~exists().where(*self._meets(source))).order_by(source.number)
        numbers = (await connection.scalars(alone.limit(_NAMED), source.parameters)).all()
        count = await connection.scalar(select(func.count()).select_from(alone.subquery()), source.parameters)
        noun = self._model.__name__.lower()
        says = f"There is no {noun} with this key."
        raise NotFound(
            f"There is no {noun} for {count:,} of the rows, the first of them row {numbers[0]}.",
            errors=[FieldError(("rows", number - 1), says, "bulk_missing") for number in numbers],
        )

    async def upsert(
        self, connection: AsyncConnection, source: Source, where: ColumnElement[bool] | None, *, last: bool
    ) -> int:
        """Insert the rows, or change those that are there; how many.

        Args:
            connection: In its transaction.
            source: The rows.
            where: The condition of the unique index, if it is a partial one.
            last: Whether the last of several rows with the same key counts; else there are none such.

        Raises:
            AlreadyExists: One that is there has other values than it must.
        """
        rows = (self._last_of_each(source) if last else select(source.rows)).subquery("rows")
        new = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
        columns = [column.name for column in self._plan.columns]
        # WHERE, because SQLite takes the ON of ON CONFLICT for that of a join otherwise.
        ordered = select(*(rows.c[name] for name in columns)).where(true()).order_by(rows.c[source.number.name])
        statement = new(self._plan.table).from_select(columns, ordered, include_defaults=False)
        statement = statement.on_conflict_do_update(
            index_elements=self._key,
            index_where=where,
            # Something has to be set, or a row that is there would not be counted.
            set_=changes(self._plan.mapper, statement.excluded, self._set) or {self._key[0].name: self._key[0]},
            where=and_(true(), *self._only) if self._only else None,
        )
        result: CursorResult[Any] = await connection.execute(statement, source.parameters)
        if self._only:
            wanted = await connection.scalar(select(func.count()).select_from(rows), source.parameters)
            if result.rowcount != wanted:
                raise AlreadyExists("Something with these values already exists.")
        return result.rowcount

    def _last_of_each(self, source: Source) -> Select[Any]:
        key = [source[column] for column in self._key]
        place = func.row_number().over(partition_by=key, order_by=source.number.desc()).label("bulk_place")
        placed = select(source.rows, place).subquery("placed")
        nothing = (placed.c[column.name].is_(None) for column in self._key)
        return select(placed).where(or_(placed.c.bulk_place == 1, *nothing))

    def _meets(self, source: Source) -> list[ColumnElement[bool]]:
        alive = [self._plan.table.c.deleted_at.is_(None)] if issubclass(self._model, SoftDeleted) else []
        return [*(column == source[column] for column in self._key), *self._only, *alive]
