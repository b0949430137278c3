"""Which columns of a table a bulk function writes, and how each value gets there: decided once, applied to batches."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import repeat
from operator import attrgetter, itemgetter
from types import NoneType
from typing import Any

from sqlalchemy import Boolean, Column, Dialect, Table, bindparam, inspect
from sqlalchemy.orm import Mapper
from sqlalchemy.types import TypeEngine

from mainspring.data._base import Base
from mainspring.data._confidential import is_confidential
from mainspring.data._moments import UtcDateTime

from ._refusals import bad_row
from ._rows import Batch

type _Process = Callable[[Any], Any]
_zone = attrgetter("tzinfo")


class Plan[M: Base]:
    """The columns of one call, in their order: those of the rows, then what all rows get, then the mapper's defaults.

    Args:
        model: Whose table.
        names: Attributes that the rows have.
        only: Values by attribute that every row gets.
        dialect: Of the session's database.
        defaults: Whether columns that nobody gives get the model's defaults, as new rows do.

    Raises:
        TypeError: A name is unknown or comes twice, the model has several tables, or a value would have to be made by
            an SQL expression for each row.
    """

    def __init__(
        self, model: type[M], names: Sequence[str], *, only: Mapping[str, Any], dialect: Dialect, defaults: bool
    ) -> None:
        self.mapper: Mapper[M] = inspect(model)
        self.model = model
        self.names = tuple(names)
        self.table = table_of(self.mapper)
        self._refuse_twice(only)
        given = {name: self.column(name) for name in self.names}
        constant = {self.column(name): value for name, value in only.items()}
        made: dict[Column[Any], _Process] = {}
        if defaults:
            constant |= {
                column: value for column, value in _identity(self.mapper).items() if column not in given.values()
            }
            taken = {*given.values(), *constant}
            for column in self.table.columns:
                default: Any = column.default
                if column in taken or default is None:
                    continue
                if default.is_scalar:
                    constant[column] = default.arg
                else:
                    made[column] = _maker(column)
        self.columns: tuple[Column[Any], ...] = (*given.values(), *constant, *made)
        self.discreet = any(map(is_confidential, self.columns))
        """Whether a value of these columns is nobody's business."""
        self._given = [_Values(name, column, dialect) for name, column in given.items()]
        self._constant = [_Values(c.key, c, dialect).one(value) for c, value in constant.items()]
        self._made = [(_Values(c.key, c, dialect), make) for c, make in made.items()]
        self._only_given = len(given) == len(self.columns)

    @property
    def primary_key(self) -> Sequence[str]:
        """The attributes of the primary key."""
        return [self.mapper.get_property_by_column(column).key for column in self.mapper.primary_key]

    def column(self, name: str) -> Column[Any]:
        """The column behind an attribute.

        Raises:
            TypeError: There is none of this name.
        """
        found = self.mapper.column_attrs.get(name)
        if found is None:
            raise TypeError(f"{self.model.__name__} has no {name}.")
        column = found.columns[0]
        assert isinstance(column, Column)
        return column

    def shaped(self, rows: Batch, done: int) -> Batch:
        """Rows of the given columns as the driver wants them, with all of `columns`.

        Args:
            rows: Of the given columns.
            done: How many rows came before.

        Raises:
            ValidationFailed: A value is none of its column's; says which.
        """
        if self._only_given and all(
            values.fit(map(itemgetter(place), rows)) for place, values in enumerate(self._given)
        ):
            return rows
        shaped: list[Iterable[Any]] = [
            values.all(given, done) for values, given in zip(self._given, zip(*rows, strict=True), strict=True)
        ]
        shaped += [repeat(value, len(rows)) for value in self._constant]
        shaped += [values.all([make(None) for _ in rows], done) for values, make in self._made]
        return list(zip(*shaped, strict=True))

    def _refuse_twice(self, only: Mapping[str, Any]) -> None:
        names = [*self.names, *only]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise TypeError(f"{self.model.__name__}: named twice: {', '.join(twice)}.")


class _Values:
    def __init__(self, name: str, column: Column[Any], dialect: Dialect) -> None:
        kind: TypeEngine[Any] = column.type.dialect_impl(dialect)
        if kind.bind_expression(bindparam(name, type_=kind)) is not None:
            raise TypeError(f"{column} is written through an SQL function, which a bulk change cannot call.")
        self._name = name
        self._process = kind.bind_processor(dialect)
        self._told = not is_confidential(column)
        self._taken = _TAKEN.get(type(column.type)) if dialect.name == "postgresql" else None

    def one(self, value: Any) -> Any:
        return self._process(value) if self._process else value

    def fit(self, values: Iterable[Any]) -> bool:
        """Whether the driver takes them as they are."""
        return self._process is None or (self._taken is not None and self._taken(values))

    def all(self, values: Sequence[Any], done: int) -> Sequence[Any]:
        process = self._process
        if process is None or self.fit(values):
            return values
        try:
            return list(map(process, values))
        except Exception as error:
            # Whatever a type's own code raises; the row is found by doing it again.
            raise self._refusal(process, values, done) from error

    def _refusal(self, process: _Process, values: Sequence[Any], done: int) -> Exception:
        for number, value in enumerate(values):
            try:
                process(value)
            except Exception as error:  # noqa: BLE001 -- as above
                says = str(error) if self._told else "the value cannot be stored."
                return bad_row(done + number, says, self._name)
        raise AssertionError("A column that cannot be stored has a value that cannot.")


def _all_aware(values: Iterable[Any]) -> bool:
    try:
        return None not in map(_zone, filter(None, values))
    except AttributeError:
        return False


def _all_bool(values: Iterable[Any]) -> bool:
    # Not 0 and 1, which the type takes and the driver does not.
    return set(map(type, values)) <= {bool, NoneType}


_TAKEN: Mapping[type[TypeEngine[Any]], Callable[[Iterable[Any]], bool]] = {Boolean: _all_bool, UtcDateTime: _all_aware}
"""What the driver for PostgreSQL takes as it is, for types whose own code would look at value by value: aware datetimes
of every zone, for one."""


def _maker(column: Column[Any]) -> _Process:
    default: Any = column.default
    if not default.is_callable:
        raise TypeError(f"The default of {column} is made by SQL for each row; name it in `columns`, or in `only`.")
    make: _Process = default.arg
    return make


def table_of(mapper: Mapper[Any]) -> Table:
    """The one table of a model.

    Raises:
        TypeError: It has several, by inheritance.
    """
    if len(mapper.tables) != 1 or not isinstance(mapper.local_table, Table):
        raise TypeError(f"{mapper.class_.__name__} is stored in several tables; write each of them by its own model.")
    return mapper.local_table


def _identity(mapper: Mapper[Any]) -> dict[Column[Any], Any]:
    """What tells the rows of this class from others in the same table."""
    if mapper.polymorphic_on is None:
        return {}
    assert isinstance(mapper.polymorphic_on, Column)
    return {mapper.polymorphic_on: mapper.polymorphic_identity}
