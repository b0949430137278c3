"""Plans: statements that are compiled once and then given to the driver as they are.

For reading one row by its key SQLAlchemy spends four times what the driver does, on looking up what it compiled before,
on a transaction around one statement, and on objects that pass the row along (ADR 16). A plan keeps SQLAlchemy's own
work, the text of the statement and the conversions of its types, and leaves the rest out.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Dialect, Select

type Row = Sequence[Any]
type _Convert = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class _Argument:
    """One placeholder: whose value it takes, or which one it always has."""

    name: str
    convert: _Convert | None
    constant: Any
    is_constant: bool

    def value(self, values: Mapping[str, Any]) -> Any:
        given = self.constant if self.is_constant else values[self.name]
        return given if self.convert is None else self.convert(given)


class Plan:
    """A compiled SELECT.

    Args:
        statement: Selects columns; what differs from one call to the next is a named `bindparam` in it.
        dialect: Of the engine that it will run on.

    Raises:
        ValueError: Its text depends on its values, as that of `IN` does.
    """

    __slots__ = ("_arguments", "_conversions", "_dialect", "_types", "sql", "statement")

    def __init__(self, statement: Select[Any], dialect: Dialect) -> None:
        compiled: Any = statement.compile(dialect=dialect)
        if compiled.post_compile_params or compiled.literal_execute_params:
            raise ValueError("The text of this statement depends on its values; it cannot be planned.")
        self.statement = statement
        self.sql = str(compiled)
        self._dialect = dialect
        self._types = [column.type for column in statement.selected_columns]
        self._conversions: list[tuple[int, _Convert]] | None = None
        self._arguments = [self._argument(name, compiled.binds[name]) for name in compiled.positiontup]

    def _argument(self, name: str, bound: Any) -> _Argument:
        convert = bound.type.dialect_impl(self._dialect).bind_processor(self._dialect)
        return _Argument(name, convert, bound.value, is_constant=not bound.required)

    def arguments(self, values: Mapping[str, Any]) -> list[Any]:
        """The values in the order of the placeholders, as the driver takes them."""
        return [argument.value(values) for argument in self._arguments]

    @property
    def is_ready(self) -> bool:
        """Whether it knows how the driver gives its columns."""
        return self._conversions is not None

    def learn(self, driver_types: Sequence[Any]) -> None:
        """Note how the driver gives the columns; a conversion may depend on it."""
        self._conversions = [
            (place, convert)
            for place, (kind, driver_type) in enumerate(zip(self._types, driver_types, strict=True))
            if (convert := kind.dialect_impl(self._dialect).result_processor(self._dialect, driver_type)) is not None
        ]

    def rows(self, given: Sequence[Row]) -> Sequence[Row]:
        """What the driver gave, with values as the columns' types have them in Python."""
        assert self._conversions is not None
        if not self._conversions:
            return given
        converted = []
        for row in given:
            values = list(row)
            for place, convert in self._conversions:
                values[place] = convert(values[place])
            converted.append(values)
        return converted
