"""Which rule of the models a refusal of the database was about, by the constraint's name."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, Constraint, Index, MetaData, Table
from sqlalchemy.dialects import postgresql

from mainspring.errors import AlreadyExists, ConstraintViolated, FieldError, MainspringError

from ._base import Base
from ._confidential import is_confidential

RAISES = "raises"
"""Where a constraint names its own error: `UniqueConstraint("email", info={RAISES: EmailTaken})`. An `Index` takes it too.
PostgreSQL names the constraint that was violated; SQLite does not, so there it is the general error.
"""

type Rule = Constraint | Index

_PREPARER: Any = postgresql.dialect().identifier_preparer  # type: ignore[no-untyped-call]


@dataclass(frozen=True, slots=True)
class Violation:
    """What is known of a refusal.

    Attributes:
        rule: The constraint or unique index, where the database has named one that a model declares.
        columns: Those of it that a client may know: not references, which say whose a row is, and not what is
            confidential.
    """

    rule: Rule | None
    columns: tuple[str, ...]

    def taken(self) -> MainspringError:
        """The error where a value has to be unique."""
        if not self.columns:
            return self._own() or AlreadyExists("Something with these values already exists.")
        names = " and ".join(self.columns)
        return self._own() or AlreadyExists(
            f"Something with this {names} already exists.",
            errors=self._errors("It is already taken.", "already_exists"),
        )

    def broken(self) -> MainspringError:
        """The error where another rule does not hold."""
        return self._own() or ConstraintViolated(
            "The change contradicts other data: a reference or a rule does not hold.",
            errors=self._errors("It does not fit.", "constraint_violated"),
        )

    def _own(self) -> MainspringError | None:
        kind = None if self.rule is None else self.rule.info.get(RAISES)
        return None if kind is None else kind()

    def _errors(self, message: str, kind: str) -> list[FieldError]:
        return [FieldError((name,), message, kind) for name in self.columns]


@dataclass(frozen=True, slots=True)
class Refusal:
    """What the database says of a refusal, as far as it does.

    Attributes:
        constraint: Its name.
        column: The one that may not be empty, where that was the rule.
        table: Where.
        schema: Of the table.
    """

    constraint: str | None = None
    column: str | None = None
    table: str | None = None
    schema: str | None = None


def violated(refusal: Refusal) -> Violation:
    """The rule of the models that a refusal is about."""
    tables = [table for table in _tables() if _is(table, refusal)]
    if refusal.constraint is not None:
        for table in tables:
            rules: list[Any] = [*table.constraints, *table.indexes]
            for rule in rules:
                if _name(rule) == refusal.constraint:
                    columns: Iterable[Any] = getattr(rule, "columns", ())
                    return Violation(rule, tuple(one.key for one in columns if _is_for_clients(one)))
    missing = [column for table in tables for column in table.columns if column.name == refusal.column]
    return Violation(None, tuple(one.key for one in missing[:1] if _is_for_clients(one)))


def _is(table: Table, refusal: Refusal) -> bool:
    # Without a schema the search path decides, which is the database's affair.
    return table.name == refusal.table and table.schema in {None, refusal.schema}


def _name(rule: Rule) -> str:
    # PostgreSQL's names have 63 bytes at most; longer ones are shortened when they are made.
    named = _PREPARER.format_index(rule) if isinstance(rule, Index) else _PREPARER.format_constraint(rule)
    return (named or "").strip('"')


def _is_for_clients(column: Any) -> bool:
    return isinstance(column, Column) and not column.foreign_keys and not is_confidential(column)


def _tables() -> Iterable[Table]:
    # Errors are rare: to look each time costs less than an index that models declared later are missing from.
    found: set[MetaData] = {mapper.local_table.metadata for mapper in Base.registry.mappers}  # type: ignore[attr-defined]
    for metadata in found:
        yield from metadata.tables.values()
