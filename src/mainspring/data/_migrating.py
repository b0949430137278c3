"""How migrations are applied beside a service that runs: short waits for locks, retries, one process at a time."""

import asyncio
import random
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, event, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.util import await_only

from mainspring.observability import get_logger

_log = get_logger(__name__)

# Any number, as long as every process of every service version uses the same one.
_ADVISORY_LOCK = 0x6D61696E73707267
_POLL = 0.2
_LONGEST_PAUSE = 30.0
_LOCK_NOT_AVAILABLE = "55P03"
_DEADLOCK = "40P01"
_LIFTED = "mainspring.lock_timeout_lifted"
_NAME = r'(?:"(?:[^"]|"")+"|[\w$]+)'
_CONCURRENT = re.compile(r"\s*(?:CREATE|DROP|REINDEX|ALTER)\b[^;']*\bCONCURRENTLY\b", re.IGNORECASE)
_BUILT = re.compile(
    rf"\s*CREATE\s+(?:UNIQUE\s+)?INDEX\s+CONCURRENTLY\s+(?:IF\s+NOT\s+EXISTS\s+)?(?P<index>{_NAME})"
    rf"\s+ON\s+(?:(?P<schema>{_NAME})\s*\.\s*)?{_NAME}",
    re.IGNORECASE,
)
_INVALID = """
    SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname), p.pid FROM pg_index i
    JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_stat_progress_create_index p ON p.index_relid = i.indexrelid
    WHERE NOT i.indisvalid AND c.relkind = 'i' AND pg_table_is_visible(i.indrelid)
"""


class MigrationBlocked(Exception):
    """A migration did not get its locks: others hold them. Says since when, and that nothing waits for it now."""


@dataclass(frozen=True, slots=True)
class MigrationLimits:
    """How long a migration may keep others waiting on PostgreSQL. SQLite has one writer, which waits for its file.

    Attributes:
        lock_timeout: Seconds that a statement waits for a lock. Whoever wants the table meanwhile waits behind it, so
            this is the longest stall that a waiting migration causes.
        statement_timeout: Seconds that a statement may take; 0 for no limit.
        retries: How often a migration that did not get a lock is tried again, after pauses that grow to 30 seconds.
    """

    lock_timeout: float = 3.0
    statement_timeout: float = 3600.0
    retries: int = 10

    def server_settings(self) -> dict[str, str]:
        """As PostgreSQL takes them when a connection is made; RESET goes back to these."""
        return {
            "application_name": "mainspring migrations",
            "timezone": "UTC",
            "lock_timeout": f"{max(1, round(self.lock_timeout * 1000))}ms",
            "statement_timeout": f"{round(self.statement_timeout * 1000)}ms",
        }


@contextmanager
def alone(connection: Connection) -> Iterator[None]:
    """Several instances of a service may start at the same moment; one migrates, the others find it done."""
    if connection.dialect.name != "postgresql":
        yield
        return
    waiting = False
    # Asked for again and again, not waited for: a session that waits for the lock has a snapshot, and an index that the
    # other one builds concurrently waits for every snapshot. PostgreSQL would end one of the two as a deadlock.
    while not _locked(connection):
        if not waiting:
            _log.info("Another process is migrating; waiting for it")
        waiting = True
        await_only(asyncio.sleep(_POLL))
    try:
        yield
    finally:
        connection.rollback()
        connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": _ADVISORY_LOCK})
        connection.commit()


def patiently(connection: Connection, work: Callable[[], object], made: set[str], limits: MigrationLimits) -> None:
    """Do the work, and again when a lock was not to be had. What was applied counts: retries are per migration.

    Raises:
        MigrationBlocked: The retries are used up.
    """
    failures, applied = 0, len(made)
    while True:
        try:
            _forget_settings(connection)
            work()
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) not in {_LOCK_NOT_AVAILABLE, _DEADLOCK}:
                raise
            connection.rollback()
            failures, applied = (1 if len(made) > applied else failures + 1), len(made)
            if failures > limits.retries:
                raise MigrationBlocked(_blocked(connection, failures, limits)) from error
            pause = min(_LONGEST_PAUSE, limits.lock_timeout * 2 ** (failures - 1)) * random.uniform(0.5, 1)  # noqa: S311
            _log.warning(
                "A migration did not get its lock and is tried again", attempt=failures, pause_s=round(pause, 1)
            )
            await_only(asyncio.sleep(pause))
        else:
            return


def watch(engine: Engine) -> None:
    """Make concurrent builds work as they should on an engine for migrations."""
    event.listen(engine, "before_cursor_execute", _before)


def invalid_indexes(connection: Connection) -> list[str]:
    """Indexes that broken-off concurrent builds have left, with their schemas; not those being built now."""
    return [name for name, builder in connection.exec_driver_sql(_INVALID) if builder is None]


def _before(connection: Connection, _: Any, statement: str, *__: Any) -> None:
    if _CONCURRENT.match(statement):
        built = _BUILT.match(statement)
        if built:
            _clear_leftover(connection, built["index"], built["schema"])
        # It waits for every transaction that is open, for hours if need be, and nobody waits behind it: the lock that
        # it holds meanwhile keeps out other changes of the table only.
        connection.exec_driver_sql("SET lock_timeout = 0")
        connection.info[_LIFTED] = True
    elif connection.info.pop(_LIFTED, False):
        connection.exec_driver_sql("RESET lock_timeout")


def _clear_leftover(connection: Connection, index: str, schema: str | None) -> None:
    # IF NOT EXISTS takes an index that is not valid for the one that is wanted.
    query = f"{_INVALID} AND c.relname = $1"
    parameters: tuple[str, ...] = (_plain(index),)
    if schema:
        query, parameters = f"{query} AND n.nspname = $2", (*parameters, _plain(schema))
    for name, builder in connection.exec_driver_sql(query, parameters).all():
        if builder is not None:
            raise MigrationBlocked(f"The index {name} is being built by another session (pid {builder}). Wait for it.")
        _log.warning("Dropping an index that a broken-off build has left", index=name)
        connection.exec_driver_sql(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")


def _plain(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name.lower()


def _locked(connection: Connection) -> bool:
    got = connection.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": _ADVISORY_LOCK}).scalar_one()
    connection.commit()
    return bool(got)


def _forget_settings(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.info.pop(_LIFTED, None)
        connection.exec_driver_sql("RESET lock_timeout")
        connection.commit()


def _blocked(connection: Connection, failures: int, limits: MigrationLimits) -> str:
    others = connection.exec_driver_sql(
        "SELECT pid, application_name, state, extract(epoch FROM now() - xact_start)::int FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL"
        " AND backend_type = 'client backend' ORDER BY xact_start LIMIT 3"
    ).all()
    connection.rollback()
    oldest = "; ".join(f"pid {pid} ({name or 'unnamed'}, {state}, {age} s)" for pid, name, state, age in others)
    return (
        f"A migration was tried {failures} times and waited {limits.lock_timeout:g} s for a lock each time. "
        f"What was applied before it stays. Longest transactions now: {oldest or 'none'}. "
        "Try again when they have ended, or end them: SELECT pg_terminate_backend(pid)."
    )
