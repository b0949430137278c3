"""Turns the database's refusals into errors of the tree, by SQLSTATE or SQLite's error name, never by message text."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm.exc import StaleDataError

from mainspring.errors import (
    ConcurrentUpdate,
    DatabaseUnavailable,
    DeadlineExceeded,
    MainspringError,
    ValidationFailed,
)
from mainspring.observability import get_logger

from ._constraints import Refusal, violated

_log = get_logger(__name__)

_UNIQUE = frozenset({"23505", "23P01", "SQLITE_CONSTRAINT_UNIQUE", "SQLITE_CONSTRAINT_PRIMARYKEY"})
_LOST_A_RACE = ("40001", "40P01", "55P03", "SQLITE_BUSY", "SQLITE_LOCKED")
# Connection exceptions, a refused log-in, a missing database, too many connections, shutdown and start-up of the server.
_OUT_OF_REACH = (
    "08",
    "28",
    "3D000",
    "53300",
    "57P01",
    "57P02",
    "57P03",
    "SQLITE_CANTOPEN",
    "SQLITE_IOERR",
    "SQLITE_FULL",
)
# statement_timeout, or somebody who has cancelled it.
_STOPPED = "57014"
# Too long, out of range, not a character of the database's encoding (NUL): values that no schema of ours has caught.
_NOT_STORABLE = frozenset({"22001", "22003", "22021"})
_RACE = "Another request changed the same data at the same moment; please try again."


class Unreachable(ConnectionError):
    """No connection to the server could be made; says what the network said."""


@contextmanager
def translated() -> Iterator[None]:
    """Within the block, what the database refuses is raised as a `MainspringError`, with the original as its cause.

    Raises:
        AlreadyExists: A unique value is taken.
        ConstraintViolated: A reference, check or required value does not hold.
        ConcurrentUpdate: Another transaction won; repeating may succeed.
        DatabaseUnavailable: No connection could be had, or the one in use was lost.
        DeadlineExceeded: A statement took longer than it may.
        ValidationFailed: A value is too long, out of range or holds NUL.
    """
    try:
        yield
    except Exception as error:
        known = translation(error)
        if known is None:
            raise
        raise known from error


def translation(error: BaseException) -> MainspringError | None:
    """What an exception of the database is in the tree, and noted in the log; None for what is none."""
    if isinstance(error, DBAPIError):
        known = _translate(error)
        if known is not None:
            kind, reason = type(known).__name__, _code(error)
            _log.info("The database refused", error=kind, reason=reason, constraint=_refusal(error).constraint)
        return known
    if isinstance(error, StaleDataError):
        return ConcurrentUpdate(_RACE)
    if isinstance(error, PoolTimeoutError):
        _log.warning("No database connection became free in time")
        return DatabaseUnavailable("The service is busy; please try again shortly.", retry_after=1)
    if isinstance(error, Unreachable):
        _log.warning("The database is out of reach", reason=str(error))
        return DatabaseUnavailable()
    return None


def was_stopped(error: BaseException) -> bool:
    """Whether a driver's own error says that a statement took longer than it may."""
    return getattr(error, "sqlstate", None) == _STOPPED


def too_slow() -> DeadlineExceeded:
    """The error for it."""
    return DeadlineExceeded("The database took too long; please try again.", retry_after=1)


def _translate(error: DBAPIError) -> MainspringError | None:
    code = _code(error)
    if error.connection_invalidated or code.startswith(_OUT_OF_REACH):
        return DatabaseUnavailable()
    if code.startswith(_LOST_A_RACE):
        return ConcurrentUpdate(_RACE)
    if code == _STOPPED:
        return too_slow()
    if code in _UNIQUE or isinstance(error, IntegrityError):
        constraint = violated(_refusal(error))
        return constraint.taken() if code in _UNIQUE else constraint.broken()
    if code in _NOT_STORABLE:
        return ValidationFailed("A value is too long, out of range, or holds a character that cannot be stored.")
    return None


def _code(error: DBAPIError) -> str:
    for attribute in ("sqlstate", "sqlite_errorname"):
        code = getattr(error.orig, attribute, None)
        if isinstance(code, str):
            return code
    return ""


def _refusal(error: DBAPIError) -> Refusal:
    def said(name: str) -> str | None:
        value = getattr(error.driver_exception, name, None)
        return value if isinstance(value, str) else None

    return Refusal(said("constraint_name"), said("column_name"), said("table_name"), said("schema_name"))
