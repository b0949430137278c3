"""Runs plans on a connection of their own, for the length of one statement and without a transaction around it.

On PostgreSQL a transaction at the default isolation adds nothing to a single SELECT: each statement has its own snapshot
either way.
"""

import asyncio
from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from time import perf_counter
from typing import Any

from sqlalchemy import Dialect, Pool, QueuePool
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.pool import PoolProxiedConnection

from mainspring.observability import get_logger

from ._planning import planned
from ._plans import Plan, Row
from ._queries import note
from ._tracing import StatementSpans
from ._translate import Unreachable, too_slow, was_stopped

_log = get_logger(__name__)


class DirectReader:
    """Runs plans.

    Args:
        bind: An engine, or a connection where a test has put everything into one transaction.
    """

    def __init__(self, bind: AsyncEngine | AsyncConnection) -> None:
        self._bind = bind
        # With the database and not with the process: plans know its dialect.
        self.plan = lru_cache(maxsize=1024)(partial(planned, dialect=bind.dialect))
        """The plan for a shape, from the cache from the second time on."""
        self._turns = _Turns(bind.sync_engine.pool)
        self._spans = StatementSpans(bind.sync_engine.url)
        self.dialect: Dialect = bind.dialect
        self._fetch = _from_sqlite if bind.dialect.name == "sqlite" else _from_postgresql

    async def run(
        self, plan: Plan, values: Mapping[str, Any], *, within: AsyncConnection | None = None
    ) -> Sequence[Row] | None:
        """The rows, or None where the driver failed: then SQLAlchemy's way tells the failure, or gets over it.

        Args:
            plan: What to run.
            values: For its placeholders.
            within: The connection that the caller holds already. To wait for a second one while holding one is how a
                pool that is used up stays so.
        """
        arguments = plan.arguments(values)
        if within is not None:
            return await _within(within, plan, arguments)
        if isinstance(self._bind, AsyncConnection):
            return await _within(self._bind, plan, arguments)
        async with self._turns:
            return await self._read(self._bind, plan, arguments)

    async def _read(self, engine: AsyncEngine, plan: Plan, arguments: list[Any]) -> Sequence[Row] | None:
        try:
            connection = await engine.raw_connection()
        except (PoolTimeoutError, Unreachable):
            raise
        except Exception:  # noqa: BLE001 -- the session's own connection will say what it is
            return None
        span, query, began = self._spans.begin(plan.sql), note(plan.sql), perf_counter()
        try:
            found = await self._fetch(connection.driver_connection, plan, arguments)
        except Exception as error:
            _log.debug("A direct read failed", error=type(error).__name__)
            self._give_back(connection)
            if span is not None:
                span.end(error)
            if was_stopped(error):
                # To ask again would take as long again.
                raise too_slow() from error
            return None
        except BaseException as error:
            self._give_back(connection, cancelled=True)
            if span is not None:
                span.end(error)
            raise
        connection.close()
        if query is not None:
            query.seconds = perf_counter() - began
        if span is not None:
            span.end()
        return plan.rows(found)

    def _give_back(self, connection: PoolProxiedConnection, *, cancelled: bool = False) -> None:
        driver: Any = connection.driver_connection
        # SQLite's thread reads to the end and is as good as before; PostgreSQL is in the middle of an answer that nobody
        # awaits.
        if self.dialect.name != "sqlite" and (cancelled or driver.is_closed()):
            connection.invalidate()
        else:
            connection.close()


class _Turns:
    """Lets as many read at once as the pool has connections, and the others in the order in which they came.

    The pool itself knows no order: whoever asks at the moment when a connection is given back gets it, and those who
    have waited for it wait on, until they give up. Units of work share the pool and take no turns, so behind many of them
    a reader may wait as long again.

    Args:
        pool: Of the engine.
    """

    def __init__(self, pool: Pool) -> None:
        size, patience = (pool.size(), pool.timeout()) if isinstance(pool, QueuePool) else (1, 0.0)
        self._free = asyncio.Semaphore(size)
        self._patience = patience

    async def __aenter__(self) -> None:
        if not self._free.locked():
            # It does not wait then, and a timer costs more than the turn.
            await self._free.acquire()
            return
        try:
            async with asyncio.timeout(self._patience):
                await self._free.acquire()
        except TimeoutError as error:
            raise PoolTimeoutError("No connection became free in time.") from error

    async def __aexit__(self, *_: object) -> None:
        self._free.release()


async def _from_postgresql(driver: Any, plan: Plan, arguments: list[Any]) -> Sequence[Row]:
    if not plan.is_ready:
        prepared = await driver.prepare(plan.sql)
        plan.learn([attribute.type.oid for attribute in prepared.get_attributes()])
    rows: Sequence[Row] = await driver.fetch(plan.sql, *arguments)
    return rows


async def _from_sqlite(driver: Any, plan: Plan, arguments: list[Any]) -> Sequence[Row]:
    if not plan.is_ready:
        plan.learn([None] * len(plan.statement.selected_columns))
    rows: Sequence[Row] = await driver.execute_fetchall(plan.sql, arguments)
    return rows


async def _within(connection: AsyncConnection, plan: Plan, arguments: list[Any]) -> Sequence[Row]:
    result = await connection.exec_driver_sql(plan.sql, tuple(arguments))
    if not plan.is_ready:
        cursor: Any = result.cursor
        plan.learn([column[1] for column in cursor.description])
    return plan.rows(result.all())
