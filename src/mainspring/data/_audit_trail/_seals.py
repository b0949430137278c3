"""Seals: what makes it show that entries are gone, the last ones of a chain and whole chains included."""

import asyncio
from collections.abc import AsyncIterator
from hashlib import sha256
from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, insert, select, text

from mainspring.data._database import Database
from mainspring.data._session import AsyncReadSession, AsyncWriteSession
from mainspring.errors import AlreadyExists, ConcurrentUpdate
from mainspring.kernel import Clock
from mainspring.observability import get_logger

from ._keys import AuditKeys
from ._models import AuditEntry, AuditSeal

_log = get_logger(__name__)

PAGE = 1_000
"""Rows that are read at once, so that memory stays flat however long the trail is."""
_POLL_SECONDS = 0.02

_entries: Any = AuditEntry.__table__
_seals: Any = AuditSeal.__table__
_NO_ID = UUID(int=0)
_ANOTHER = "Another process has sealed the audit trail at the same moment."
_WRITERS = text(
    "SELECT virtualtransaction FROM pg_locks WHERE locktype = 'relation' AND mode = 'RowExclusiveLock'"
    " AND relation = CAST('audit_entries' AS regclass) AND pid <> pg_backend_pid()"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)


async def newest_seal(session: AsyncReadSession) -> AuditSeal | None:
    """The last link of the chain over the trail."""
    return await session.scalar(select(AuditSeal).order_by(AuditSeal.number.desc()).limit(1))


async def digests_of(session: AsyncReadSession, epoch: int) -> AsyncIterator[bytes]:
    """Those of an epoch's entries, by id."""
    after = _NO_ID
    while True:
        page = select(_entries.c.id, _entries.c.digest).where(_entries.c.epoch == epoch, _entries.c.id > after)
        rows = (await session.execute(page.order_by(_entries.c.id).limit(PAGE))).all()
        for row in rows:
            yield row.digest
        if len(rows) < PAGE:
            return
        after = rows[-1].id


async def content_of(session: AsyncReadSession, epoch: int) -> tuple[int, bytes]:
    """How many entries an epoch has, and the digest over theirs."""
    count, content = 0, sha256()
    async for digest in digests_of(session, epoch):
        count += 1
        content.update(digest)
    return count, content.digest()


class Sealer:
    """Adds seals.

    Writers never wait for it. The entries of an epoch are counted one seal after its end: every transaction that may have
    taken it for the current one has ended by then, since `seal` waits for those that ran when it began.

    Args:
        database: Of the trail.
        keys: For the digests.
        clock: The time.
        patience: Seconds to wait for transactions that run.
    """

    def __init__(self, database: Database, keys: AuditKeys, clock: Clock, *, patience: float = 10.0) -> None:
        self._database = database
        self._keys = keys
        self._clock = clock
        self._patience = patience

    async def seal_all(self) -> AuditSeal | None:
        """Seal every entry that is committed when this begins; the newest seal, or None if there has never been one."""
        # The first ends the epoch that is running, the second vouches for it.
        for _ in range(2):
            if await self.is_open():
                await self.seal()
        async with self._database.read() as session:
            return await newest_seal(session)

    async def seal(self, *, purge_through: int | None = None) -> AuditSeal:
        """Add one seal, and remove the entries of epochs up to `purge_through` in the same transaction.

        Raises:
            ConcurrentUpdate: A transaction has been running for too long, or another process has sealed at the same
                moment. Nothing is lost: the next call does it.
        """
        async with self._database.write() as session:
            awaited = await newest_seal(session)
        await self._wait_for_writers()
        try:
            async with self._database.write() as session:
                last = await newest_seal(session)
                if _number(last) != _number(awaited):
                    # Whoever has not seen that one may still be writing into the epoch that ours would vouch for.
                    raise ConcurrentUpdate(_ANOTHER)
                row = await self._next(session, last, purge_through)
                await session.execute(insert(_seals), row)
                if purge_through is not None:
                    await allow_removal(session)
                    await session.execute(delete(_entries).where(_entries.c.epoch <= purge_through))
        except AlreadyExists as error:
            raise ConcurrentUpdate(_ANOTHER) from error
        # The log is kept elsewhere than the database: whoever turns the database back to an older state cannot turn back
        # this line, and `verify --anchor` compares the two.
        _log.info("Audit trail sealed", anchor=anchor_of(row["number"], row["digest"]), entries=row["entries"])
        return AuditSeal(**row)

    async def is_open(self) -> bool:
        """Whether there are entries that no seal vouches for."""
        async with self._database.read() as session:
            newest = await session.scalar(select(func.max(AuditSeal.number))) or 0
            unsealed = select(_entries.c.id).where(_entries.c.epoch >= newest - 1).limit(1)
            return (await session.execute(unsealed)).first() is not None

    async def _next(
        self, session: AsyncWriteSession, last: AuditSeal | None, purge_through: int | None
    ) -> dict[str, Any]:
        number = _number(last) + 1
        count, content = await content_of(session, number - 2)
        row = {
            "number": number,
            "sealed_at": self._clock.now(),
            "entries": count,
            "content": content,
            "purged_through": max(last.purged_through if last else -1, -1 if purge_through is None else purge_through),
            "previous": last.digest if last else None,
            "key_id": self._keys.current,
        }
        return row | {"digest": self._keys.digest("seal", row)}

    async def _wait_for_writers(self) -> None:
        # SQLite has one writer at a time, and `seal` is going to be it.
        if self._database.dialect != "postgresql":
            return
        waited_for = await self._writers()
        for _ in range(max(1, round(self._patience / _POLL_SECONDS))):
            if not waited_for:
                return
            await asyncio.sleep(_POLL_SECONDS)
            waited_for &= await self._writers()
        raise ConcurrentUpdate("A transaction has been running for too long; the audit trail is sealed after it.")

    async def _writers(self) -> set[str]:
        """The transactions that have written entries and not ended, by what PostgreSQL calls them.

        An INSERT locks its table before it looks at what is committed, so whoever has not seen the newest seal is here.
        """
        # The writer's database, and not a replica's, which has its own idea of what runs.
        async with self._database.write() as session:
            return set(await session.scalars(_WRITERS))


async def allow_removal(session: AsyncWriteSession) -> None:
    """Let this transaction remove entries, which a trigger of the table refuses on PostgreSQL."""
    if session.get_bind().dialect.name == "postgresql":
        await session.execute(text("SELECT set_config('mainspring.audit_purge', 'on', true)"))


def _number(seal: AuditSeal | None) -> int:
    return seal.number if seal is not None else 0


def anchor_of(number: int, digest: bytes) -> str:
    """What to keep elsewhere of a seal: `12:3f…`."""
    return f"{number}:{digest.hex()}"
