"""Tells relays of other processes that there is something to deliver, by PostgreSQL's NOTIFY."""

import asyncio
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from mainspring.data._database import Database
from mainspring.data._session import AsyncWriteSession
from mainspring.observability import get_logger

_log = get_logger(__name__)

_CHANNEL = "mainspring_outbox"


async def notify(session: AsyncWriteSession) -> None:
    """Wake the relays of other processes when the session's transaction commits."""
    if session.get_bind().dialect.name == "postgresql":
        await session.execute(select(func.pg_notify(_CHANNEL, "")))


class Listener:
    """Sets an event when another process has recorded something. It keeps one connection of the pool.

    Args:
        database: Of the outbox; on SQLite there is nothing to listen to.
        awake: The event.
    """

    def __init__(self, database: Database, awake: asyncio.Event) -> None:
        self._database = database
        self._awake = awake
        self._connection: AsyncConnection | None = None
        self._raw: Any = None

    async def listen(self) -> None:
        """Begin, or begin anew where the connection was lost. A failure is logged: the relay looks now and then anyway."""
        if self._database.dialect != "postgresql" or (self._raw is not None and not self._raw.is_closed()):
            return
        await self.close()
        async with self._database.write() as session:
            engine = session.get_bind().engine
        try:
            connection = await AsyncEngine(engine).connect()
            self._connection = connection
            # LISTEN in a transaction would begin at its end.
            await connection.execution_options(isolation_level="AUTOCOMMIT")
            self._raw = (await connection.get_raw_connection()).driver_connection
            await self._raw.add_listener(_CHANNEL, self._hear)
        except (SQLAlchemyError, OSError) as error:
            _log.warning("The outbox cannot be listened to; it is looked at now and then", reason=type(error).__name__)
            await self.close()
        else:
            # What came while nobody listened.
            self._awake.set()

    async def close(self) -> None:
        """Give the connection back."""
        connection, raw, self._connection, self._raw = self._connection, self._raw, None, None
        if connection is None:
            return
        try:
            if raw is None or raw.is_closed():
                await connection.invalidate()
            else:
                await raw.remove_listener(_CHANNEL, self._hear)
        except Exception:  # noqa: BLE001 -- it is lost anyway
            await connection.invalidate()
        finally:
            await connection.close()

    def _hear(self, *_: Any) -> None:
        self._awake.set()
