"""Engines tuned for a service: SQLite that can be shared, PostgreSQL that says who is asking."""

import asyncio
import sqlite3
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

from sqlalchemy import URL, Connection, Dialect, event
from sqlalchemy.engine.interfaces import DBAPIConnection, DBAPICursor
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry, PoolResetState
from sqlalchemy.util.concurrency import in_greenlet

from ._tracing import trace_statements
from ._translate import Unreachable

_BUSY_TIMEOUT_MS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionLimits:
    """What PostgreSQL stops by itself, in seconds; 0 for never. SQLite has no such limits.

    Attributes:
        statement: One statement; then `DeadlineExceeded`.
        lock: Waiting for a lock; then `ConcurrentUpdate`.
        idle: A transaction in which nothing happens; then its connection is closed.
        behind_pooler: Whether a pooler that hands out connections by transaction stands between (PgBouncer's
            `pool_mode = transaction`). It knows neither these settings at connect, so each transaction begins with them,
            nor statements prepared before, so that reads cannot go straight to the driver.
    """

    statement: float = 0
    lock: float = 0
    idle: float = 0
    behind_pooler: bool = False

    def parameters(self) -> dict[str, str]:
        """Them as PostgreSQL's settings."""
        seconds = {
            "statement_timeout": self.statement,
            "lock_timeout": self.lock,
            "idle_in_transaction_session_timeout": self.idle,
        }
        return {name: str(round(value * 1000)) for name, value in seconds.items()}


def make_engine(
    url: URL,
    *,
    pool_size: int,
    pool_timeout: float,
    application_name: str,
    limits: ConnectionLimits = ConnectionLimits(),
    read_only: bool = False,
) -> AsyncEngine:
    """An engine for one purpose.

    On SQLite the writer has one connection: the file takes one writer at a time, and waiting for a connection is fair
    and cheap where waiting for the file's lock is neither. On PostgreSQL `read_only` is left to the sessions, which
    share one pool.
    """
    if url.get_backend_name() == "sqlite":
        return _sqlite(url, pool_size=pool_size if read_only else 1, pool_timeout=pool_timeout, read_only=read_only)
    engine = create_async_engine(
        url,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=pool_timeout,
        # A ping per checkout costs a fifth of the throughput (measured); recycling old connections and the pool's own
        # reaction to a lost one do the same service.
        pool_recycle=1800,
        connect_args=_connect_args(application_name, limits),
    )
    event.listen(engine.sync_engine, "do_connect", _connect)
    if limits.behind_pooler:
        event.listen(engine.sync_engine, "begin", partial(_set_limits, limits.parameters()))
    trace_statements(engine)
    return engine


def _connect_args(application_name: str, limits: ConnectionLimits) -> dict[str, Any]:
    settings = {"application_name": application_name, "timezone": "UTC"}
    if not limits.behind_pooler:
        # Compiling a plan pays for statements of seconds, and delays all others.
        return {"server_settings": settings | {"jit": "off"} | limits.parameters(), "timeout": 5.0}
    # The next transaction may be on another connection, where a statement of the same name is somebody else's.
    return {
        "server_settings": settings,
        "timeout": 5.0,
        "statement_cache_size": 0,
        "prepared_statement_cache_size": 0,
        "prepared_statement_name_func": lambda: f"mainspring_{uuid4().hex}",
    }


def _set_limits(parameters: Mapping[str, str], connection: Connection) -> None:
    calls = ", ".join(f"set_config('{name}', '{value}', true)" for name, value in parameters.items())
    connection.exec_driver_sql(f"SELECT {calls}")


def _connect(dialect: Dialect, _: ConnectionPoolEntry, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
    # The driver lets the network's errors through as they are; a handler's own must not be taken for them.
    try:
        return dialect.connect(*args, **options)
    except OSError as error:
        raise Unreachable(str(error) or type(error).__name__) from error


def _sqlite(url: URL, *, pool_size: int, pool_timeout: float, read_only: bool) -> AsyncEngine:
    assert url.database
    Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    options: dict[str, Any] = {"pool_size": pool_size, "max_overflow": 0, "pool_timeout": pool_timeout}
    if read_only:
        # A trip to the driver's thread per checkout, for a transaction that has long ended; `_roll_back_failed_commit`
        # looks for one that has not.
        options["pool_reset_on_return"] = None
    engine = create_async_engine(url, **options)
    listen(engine, begin="BEGIN" if read_only else "BEGIN IMMEDIATE", query_only=read_only)
    trace_statements(engine)
    return engine


def listen(engine: AsyncEngine, *, begin: str, query_only: bool = False, foreign_keys: bool = True) -> None:
    """Make a SQLite engine's connections safe to share, and its transactions begin when we say so."""

    def connect(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
        # The driver's own BEGIN comes late and never before a SELECT; with it off, `begin` below decides.
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout = {_BUSY_TIMEOUT_MS}")
        _write_ahead(connection, cursor)
        for pragma in (
            # NORMAL would lose the last commits with the power: a 2xx would have lied.
            "synchronous = FULL",
            f"foreign_keys = {'ON' if foreign_keys else 'OFF'}",
            f"query_only = {'ON' if query_only else 'OFF'}",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    def begin_transaction(connection: Connection) -> None:
        # IMMEDIATE for writers: a transaction that reads first and writes later could otherwise fail half way, with
        # SQLITE_BUSY that no timeout cures.
        connection.exec_driver_sql(begin)

    event.listen(engine.sync_engine, "connect", connect)
    event.listen(engine.sync_engine, "begin", begin_transaction)
    event.listen(engine.sync_engine, "reset", _roll_back_failed_commit)
    event.listen(engine.sync_engine, "invalidate", _roll_back_cancelled)


def _write_ahead(connection: DBAPIConnection, cursor: DBAPICursor) -> None:
    # Two processes that open a new file at the same moment: one of them is refused at once, whatever its timeout.
    patience = time.monotonic() + _BUSY_TIMEOUT_MS / 1000
    while True:
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > patience:
                raise
            connection.run_async(lambda _: asyncio.sleep(0.05))
        else:
            return


def _roll_back_failed_commit(connection: DBAPIConnection, _: ConnectionPoolEntry, state: PoolResetState) -> None:
    # A COMMIT that fails, on a deferred constraint say, leaves SQLite's transaction open. SQLAlchemy takes it for ended
    # and would hand the connection, pending rows included, to the next unit of work.
    if state.asyncio_safe and connection.driver_connection.in_transaction:
        connection.rollback()


def _roll_back_cancelled(connection: DBAPIConnection, _: ConnectionPoolEntry, __: BaseException | None) -> None:
    # A cancelled task leaves its statement unfinished, and closing a connection that has one leaves the transaction, and
    # so the file's lock, until the statement is garbage-collected.
    if in_greenlet():
        with suppress(Exception):
            connection.rollback()
