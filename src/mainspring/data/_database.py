"""The database of a service, as a resource."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from sqlalchemy import URL, Engine, QueuePool, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, async_sessionmaker

from mainspring.errors import ConcurrentUpdate
from mainspring.kernel import Registry, Resource
from mainspring.settings import Settings

from ._engine import ConnectionLimits, make_engine
from ._readers import Readers, ReplicaReaders
from ._reading import Reading
from ._retrying import pause_after
from ._session import AsyncWriteSession
from ._unit_of_work import UnitOfWork
from ._url import database_url

type _Bind = AsyncEngine | AsyncConnection
type Isolation = Literal["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"]


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
        replica: A copy where they rather connect; see `read`.
        direct: Whether reads may go straight to the driver, where they need no transaction. Not with engines of one's
            own, whose pools and execution options may be any.
        nested: Wrap each unit of work in a savepoint of the connection it is bound to, so that a test can undo
            everything afterwards. Only for tests.
    """

    def __init__(
        self,
        writer: _Bind,
        reader: _Bind | None = None,
        *,
        replica: AsyncEngine | None = None,
        direct: bool = False,
        nested: bool = False,
    ) -> None:
        binds = (writer, reader or writer, *([replica] if replica is not None else []))
        self._writer, self._binds = writer, tuple(dict.fromkeys(binds))
        # A closed session would quietly begin anew, and nobody would commit it or give its connection back.
        options: dict[str, Any] = {"expire_on_commit": False, "close_resets_only": False}
        # Engines ignore the mode. A reader gets no savepoint: one made before a writer's would undo the writer's work
        # when the reader closes.
        mode = "create_savepoint" if nested else "conditional_savepoint"
        self._writers = async_sessionmaker(writer, class_=AsyncWriteSession, join_transaction_mode=mode, **options)
        self._readers = Readers(reader or writer, direct=direct, options=options)
        self._replicas = None if replica is None else ReplicaReaders(replica, direct=direct, options=options)

    @classmethod
    def connect(
        cls,
        url: str,
        *,
        replica_url: str = "",
        pool_size: int = 10,
        pool_timeout: float = 5.0,
        limits: ConnectionLimits = ConnectionLimits(),  # noqa: B008 -- frozen
        application_name: str = "mainspring",
    ) -> "Database":
        """A database by URL. Opens no connection yet.

        Args:
            url: As in `database_url`.
            replica_url: A copy of it that only reads, on PostgreSQL; there read sessions connect.
            pool_size: Connections kept per process, and to the replica as many; the most that work at once.
            pool_timeout: Seconds to wait for a free one before `DatabaseUnavailable`.
            limits: What PostgreSQL stops by itself.
            application_name: How the connections show up in `pg_stat_activity`.

        Raises:
            ValueError: The URL is none, or of an unsupported kind; or a replica is named for SQLite, which has none.
        """
        parsed = database_url(url)
        make = partial(
            make_engine,
            pool_size=pool_size,
            pool_timeout=pool_timeout,
            limits=limits,
            application_name=application_name,
        )
        writer = make(parsed)
        if parsed.get_backend_name() == "sqlite":
            if replica_url:
                _refuse_replica_of_sqlite(parsed)
            return cls(writer, make(parsed, read_only=True), direct=True)
        reader = writer.execution_options(postgresql_readonly=True)
        if not replica_url:
            return cls(writer, reader, direct=not limits.behind_pooler)
        replica = make(database_url(replica_url)).execution_options(postgresql_readonly=True)
        return cls(writer, reader, replica=replica, direct=not limits.behind_pooler)

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        return self._binds[0].dialect.name

    @property
    def engines(self) -> Sequence[Engine]:
        """Every engine that its sessions run on, for what is to be told to each."""
        return [bind.sync_engine if isinstance(bind, AsyncEngine) else bind.engine.sync_engine for bind in self._binds]

    def pools(self) -> Iterator[PoolUsage]:
        """How much of its connections is in use right now; nothing where it is bound to one connection, as in tests."""
        pools = {bind.sync_engine.pool: None for bind in self._binds if isinstance(bind, AsyncEngine)}
        names = ("all",) if len(pools) == 1 else ("writer", "reader")
        for name, pool in zip(names, pools, strict=False):
            if isinstance(pool, QueuePool):
                yield PoolUsage(name, pool.size(), pool.checkedout(), max(0, pool.overflow()))

    @property
    def has_replica(self) -> bool:
        """Whether reads may come from a copy, and so be older than the last write."""
        return self._replicas is not None

    def read(self, *, fresh: bool = False) -> Reading:
        """A session that reads, given back at the end of the block.

        Args:
            fresh: Read what has been committed, and not what a replica has of it so far. Without a replica, and while
                it does not answer, every read is fresh.

        Raises:
            TypeError: The block changed objects of the session, which would be lost.
            DatabaseUnavailable: No connection could be had, or the one in use was lost.
        """
        if self._replicas is None or fresh or not self._replicas.are_usable:
            return self._readers.read()
        return self._replicas.read()

    def write(self, *, isolation: Isolation | None = None) -> UnitOfWork:
        """A unit of work: commits at the end of the block, rolls back when the block raises or is cancelled.

        Keep it short, and never wait for another service inside it: it holds a connection from its first statement on,
        and on SQLite every other writer waits.

        Args:
            isolation: Stricter than PostgreSQL's READ COMMITTED: with SERIALIZABLE units of work come out as if they
                had run one after the other, or raise `ConcurrentUpdate` and have to be tried again (`run`). SQLite has
                nothing else.

        Raises:
            AlreadyExists: A unique value is taken, found at a flush or at the commit.
            ConstraintViolated: A constraint does not hold, a deferred one at the commit included.
            ConcurrentUpdate: Another transaction won.
            DatabaseUnavailable: No connection could be had, or the one in use was lost.
        """
        return UnitOfWork(self._writers(**self._bound(isolation)))

    async def run[T](
        self,
        work: Callable[[AsyncWriteSession], Awaitable[T]],
        *,
        attempts: int = 3,
        isolation: Isolation | None = None,
    ) -> T:
        """Do `work` in a unit of work of its own, again from the start if another transaction won.

        Args:
            work: Takes the session. What it does beside the database, it does as often.
            attempts: The most times; then `ConcurrentUpdate` is raised as it was.
            isolation: As for `write`.
        """
        attempt = 1
        while True:
            try:
                async with self.write(isolation=isolation) as session:
                    return await work(session)
            except ConcurrentUpdate:
                if attempt >= attempts:
                    raise
            await pause_after(attempt)
            attempt += 1

    def _bound(self, isolation: Isolation | None) -> dict[str, Any]:
        if isolation is None or self.dialect == "sqlite" or not isinstance(self._writer, AsyncEngine):
            return {}
        return {"bind": self._writer.execution_options(isolation_level=isolation)}

    async def ping(self) -> None:
        """Ask the database for an answer; raises what the driver raises."""
        async with self._readers.session() as session:
            await session.execute(text("SELECT 1"))

    async def close(self) -> None:
        """Give every pooled connection back to the database."""
        for bind in self._binds:
            if isinstance(bind, AsyncEngine):
                await bind.dispose()


def database_resource(settings: Settings, *, application_name: str) -> Resource[Database]:
    """The database that the settings name, as a resource: connected and pinged at start, closed at the end.

    Raises:
        ValueError: As `Database.connect`.
        ModuleNotFoundError: As `database_url`.
    """
    if settings.database_replica_url:
        _refuse_replica_of_sqlite(database_url(settings.database_url))
        database_url(settings.database_replica_url)

    async def make(_: Registry) -> Database:
        database = Database.connect(
            settings.database_url,
            replica_url=settings.database_replica_url,
            pool_size=settings.connections_per_process[0],
            pool_timeout=settings.database_pool_timeout,
            limits=ConnectionLimits(
                statement=settings.database_statement_timeout,
                lock=settings.database_lock_timeout,
                idle=settings.database_idle_timeout,
                behind_pooler=settings.database_behind_pooler,
            ),
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


def _refuse_replica_of_sqlite(url: URL) -> None:
    if url.get_backend_name() == "sqlite":
        raise ValueError("SQLite has no replicas. Unset DATABASE_REPLICA_URL, or use PostgreSQL.")


def _backend(url: str) -> str:
    parsed = database_url(url)
    if parsed.get_backend_name() == "sqlite":
        return f"sqlite (WAL) {parsed.database}"
    return f"postgresql {parsed.host or 'local socket'}:{parsed.port or 5432}/{parsed.database}"
