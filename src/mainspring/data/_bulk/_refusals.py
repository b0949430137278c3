"""Says which row was refused, in the words of the error tree."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy.exc import DBAPIError, IntegrityError

from mainspring.data._translate import translated
from mainspring.errors import FieldError, MainspringError, ValidationFailed

# PostgreSQL says it as context of the error, in the language of its messages; the number stands where it does in all.
_LINE = re.compile(r"^COPY [^\n]*?(\d+)", re.MULTILINE)
_INTEGRITY = ("23", "SQLITE_CONSTRAINT")


def bad_row(index: int, says: str, column: str = "") -> ValidationFailed:
    """The error for a row that cannot be stored.

    Args:
        index: Of the row, from 0; people are told the number from 1.
        says: What is wrong.
        column: With which of its values, if that is known.
    """
    where = f"Row {index + 1}, {column}" if column else f"Row {index + 1}"
    return ValidationFailed(f"{where}: {says}", errors=[_at(index, says, column)])


def _at(index: int, says: str, column: str = "") -> FieldError:
    return FieldError(("rows", index, column) if column else ("rows", index), says, "bulk_row")


@contextmanager
def refusals(statement: str, *, discreet: bool) -> Iterator["Sent"]:
    """Within the block, what a driver raises that is used without SQLAlchemy is raised as SQLAlchemy's unit of work would
    have raised it, with the row in question named where it is known.
    """
    sent = Sent()
    try:
        with translated():
            try:
                yield sent
            except Exception as error:
                _raise_as_database_error(error, statement, sent, discreet=discreet)
                raise
    except MainspringError as error:
        if error is sent.failure:
            raise
        index = sent.row_of(error.__cause__)
        if index is None:
            raise
        raise type(error)(
            f"Row {index + 1}: {error.message}", errors=[_at(index, error.message)], retry_after=error.retry_after
        ) from error


class Sent:
    """How far the rows have come.

    Attributes:
        rows: How many were handed to the driver.
        failure: What the rows' own source has raised, which is not the database's.
        closed: Whether the connection was lost.
    """

    def __init__(self) -> None:
        self.rows = 0
        self.failure: BaseException | None = None
        self.closed = False

    def row_of(self, error: BaseException | None) -> int | None:
        """The index of the row that a refusal is about."""
        original = getattr(error, "orig", None)
        if hasattr(original, "sqlite_errorname"):
            return self.rows - 1
        line = _LINE.search(getattr(original, "context", None) or "")
        return int(line[1]) - 1 if line else None


def _raise_as_database_error(error: Exception, statement: str, sent: Sent, *, discreet: bool) -> None:
    if error is sent.failure or isinstance(error, DBAPIError | MainspringError):
        return
    code = _code(error)
    if sent.closed or isinstance(error, OSError):
        raise DBAPIError(statement, None, error, connection_invalidated=True) from error
    if code:
        kind: type[DBAPIError] = IntegrityError if code.startswith(_INTEGRITY) else DBAPIError
        raise kind(statement, None, error) from error
    if isinstance(error, TypeError | ValueError | ArithmeticError | sqlite3.ProgrammingError):
        # The driver could not encode the row it took last.
        why = "" if discreet else f" ({error})"
        raise bad_row(sent.rows - 1, f"a value is not of its column's type{why}.") from error


def _code(error: Any) -> str:
    return getattr(error, "sqlstate", None) or getattr(error, "sqlite_errorname", None) or ""
