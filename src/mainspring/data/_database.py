"""The database of a service, as a resource."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import QueuePool, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, async_sessionmaker

from mainspring.kernel import Registry, Resource
from mainspring.settings import Settings

from ._direct import DirectReader
from ._engine import make_engine
from ._reading import Reading
from ._session import AsyncReadSession, AsyncWriteSession, complete
from ._translate import translated
from ._url import database_url

type _Bind = AsyncEngine | AsyncConnection


@dataclass(frozen=True, slots=True)
class PoolUsage:
    """How much of a connection pool is in use.

    Attributes:
        name: `writer`, `reader`, or `all` where both share one.
        size: The most connections that are kept.
        checked_out: Those at work.
        overflow: Those beyond `size`; none, since the chassis allows none, unless an engine of the service's own does.
    """

    name: str
    size: int
    checked_out: int
    overflow: int


class Database:
    """Sessions on one database.

    Args:
        writer: Where write sessions connect.
        reader: Where read sessions connect; the writer by default.
        nested: Wrap each unit of work in a savepoint of the connection it is bound to, so that a test can undo
            everything afterwards. Only for tests.
    """

    def __init__(self, writer: _Bind, reader: _Bind | None = None, *, nested: bool = False) -> None:
        self._binds = tuple(dict.fromkeys((writer, reader or writer)))
        # A closed session would quietly begin anew, and nobody would commit it or give its connection back.
        options: dict[str, Any] = {"expire_on_commit": False, "close_resets_only": False}
        # Engines ignore the mode. A reader gets no savepoint: one made before a writer's would undo the writer's work
        # when the reader closes.
        mode = "create_savepoint" if nested else "conditional_savepoint"
        self._writers = async_sessionmaker(writer, class_=AsyncWriteSession, join_transaction_mode=mode, **options)
        self._direct = DirectReader(reader or writer)
        self._readers = async_sessionmaker(
            reader or writer, class_=AsyncReadSession, join_transaction_mode="rollback_only", **options
        )

    @classmethod
    def connect(
        cls, url: str, *, pool_size: int = 10, pool_timeout: float = 5.0, application_name: str = "mainspring"
    ) -> "Database":
        """A database by URL. Opens no connection yet.

        Args:
            url: As in `database_url`.
            pool_size: Connections kept per process; the most that work at once.
            pool_timeout: Seconds to wait for a free one before `DatabaseUnavailable`.
            application_name: How the connections show up in `pg_stat_activity`.

        Raises:
            ValueError: The URL is none, or of an unsupported kind.
        """
        parsed = database_url(url)

        def engine(*, read_only: bool) -> AsyncEngine:
            return make_engine(
                parsed,
                pool_size=pool_size,
                pool_timeout=pool_timeout,
                application_name=application_name,
                read_only=read_only,
            )

        writer = engine(read_only=False)
        if parsed.get_backend_name() == "sqlite":
            return cls(writer, engine(read_only=True))
        return cls(writer, writer.execution_options(postgresql_readonly=True))

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        return self._binds[0].dialect.name

    def pools(self) -> Iterator[PoolUsage]:
        """How much of its connections is in use right now; nothing where it is bound to one connection, as in tests."""
        pools = {bind.sync_engine.pool: None for bind in self._binds if isinstance(bind, AsyncEngine)}
        names = ("all",) if len(pools) == 1 else ("writer", "reader")
        for name, pool in zip(names, pools, strict=False):
            if isinstance(pool, QueuePool):
                yield PoolUsage(name, pool.size(), pool.checkedout(), max(0, pool.overflow()))

    def read(self) -> Reading:
        """A session that reads, given back at the end of the block.

        Raises:
            TypeError: The block changed objects of the session, which would be lost.
            DatabaseUnavailable: No connection could be had, or the one in use was lost.
        """
        session = self._readers()
        session.direct = self._direct
        return Reading(session)

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncWriteSession]:
        """A unit of work: commits at the end of the block, rolls back when the block raises or is cancelled.

        Keep it short, and never wait for another service inside it: it holds a connection from its first statement on,
        and on SQLite every other writer waits.

        Raises:
            AlreadyExists: A unique value is taken, found at a flush or at the commit.
            ConstraintViolated: A constraint does not hold, a deferred one at the commit included.
            ConcurrentUpdate: Another transaction won.
            DatabaseUnavailable: No connection could be had, or the one in use was lost.
        """
        with translated():
            # Leaving the session rolls back what `complete` did not commit, also when this task is being cancelled.
            async with self._writers() as session:
                yield session
                await complete(session)

    async def ping(self) -> None:
        """Ask the database for an answer; raises what the driver raises."""
        async with self._readers() as session:
            await session.execute(text("SELECT 1"))

    async def close(self) -> None:
        """Give every pooled connection back to the database."""
        for bind in self._binds:
            if isinstance(bind, AsyncEngine):
                await bind.dispose()


def database_resource(settings: Settings, *, application_name: str) -> Resource[Database]:
    """The database that the settings name, as a resource: connected and pinged at start, closed at the end."""

    async def make(_: Registry) -> Database:
        database = Database.connect(
            settings.database_url,
            pool_size=settings.database_pool_size,
            pool_timeout=settings.database_pool_timeout,
            application_name=application_name,
        )
        # Shielded, because a driver that is interrupted while it connects leaves its connection behind.
        ping = asyncio.ensure_future(database.ping())
        try:
            await asyncio.shield(ping)
        except BaseException:
            await asyncio.wait([ping])
            await database.close()
            raise
        return database

    return Resource(
        provides=Database,
        name="database",
        make=make,
        close=Database.close,
        ping=Database.ping,
        backend=_backend(settings.database_url),
        chosen_by=settings.origin("database_url").key,
        advice="Check that DATABASE_URL points to a running server and that user and password are right.",
    )


def _backend(url: str) -> str:
    parsed = database_url(url)
    if parsed.get_backend_name() == "sqlite":
        return f"sqlite (WAL) {parsed.database}"
    return f"postgresql {parsed.host or 'local socket'}:{parsed.port or 5432}/{parsed.database}"
