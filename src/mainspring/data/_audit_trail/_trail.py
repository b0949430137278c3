"""The audit trail of one database: recording, asking, sealing, verifying, purging."""

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Self

from sqlalchemy import func, select
from sqlalchemy.orm import configure_mappers
from sqlalchemy.orm.attributes import instance_state

from mainspring.data._base import Base
from mainspring.data._database import Database
from mainspring.data._filters import Filter
from mainspring.data._listing import Listing
from mainspring.data._session import AsyncReadSession
from mainspring.data._store import Store
from mainspring.errors import MainspringError
from mainspring.kernel import Clock, SystemClock
from mainspring.observability import get_logger

from ._keys import AuditKeys
from ._listening import listen_to
from ._models import AuditEntry, AuditSeal
from ._recorder import Recorder, attach
from ._seals import Sealer
from ._values import identity_of, table_name
from ._verify import AuditReport, Verification

_log = get_logger(__name__)

AUDIT_ENTRIES = Listing(
    AuditEntry,
    filters=[
        Filter(AuditEntry.entity_type),
        Filter(AuditEntry.entity_id),
        Filter(AuditEntry.actor_kind),
        Filter(AuditEntry.actor_id),
        Filter(AuditEntry.action, ("eq", "in")),
        Filter(AuditEntry.request_id),
        Filter(AuditEntry.occurred_at, ("gte", "lt")),
    ],
    sorts=[AuditEntry.occurred_at],
    default="-occurred_at",
)
"""How the audit trail may be asked: by row, actor, action, request and time, newest first."""


class AuditTrail:
    """Records what happens to audited models on one database, and answers for it.

    `verify` finds, at once: an entry that was changed in any field, that somebody without the secret key has added, that
    was put in another place or chain, or that is missing before a later one of its row. And once a seal vouches for them,
    after one to two intervals of sealing: the last entries of a row that are gone, and whole chains. And with the anchor
    of a seal that was kept elsewhere (each seal is logged): that the whole trail was turned back to an older state.

    It does not find entries that were removed before the next seal and had no successor, nor anything that was done by
    somebody who has the secret key. What was never recorded is not in it: see `Audited`.

    Make one with `AuditTrail.on`; `audit_trail_module` does.
    """

    def __init__(self, database: Database, keys: AuditKeys, clock: Clock) -> None:
        self._database = database
        self._keys = keys
        self._sealer = Sealer(database, keys, clock)
        self._task: asyncio.Task[None] | None = None

    @classmethod
    async def on(
        cls,
        database: Database,
        secret: str,
        *,
        former: Iterable[str] = (),
        clock: Clock | None = None,
        require_actor: bool = False,
        models: Iterable[type[Base]] = (),
    ) -> Self:
        """Make the write sessions of a database record from now on.

        Args:
            database: Its tables must be migrated.
            secret: The service's secret key; the keys of the digests are derived from it.
            former: Secret keys that it had before.
            clock: The time.
            require_actor: Refuse changes for which nobody was named, instead of recording them as the system's.
            models: Audited here, although they do not say so: those of modules that others have written.

        Raises:
            TypeError: A model cannot be audited.
        """
        # Now and not at the first use of a model: what a model says wrongly should stop the boot.
        configure_mappers()
        also, time = tuple(models), clock or SystemClock()
        for model in also:
            listen_to(model)
        keys = AuditKeys(secret, former)
        recorder = Recorder(keys, clock=time, require_actor=require_actor, also=also)
        async with database.write() as session:
            attach(session.get_bind().engine, recorder)
        return cls(database, keys, time)

    async def history_of(self, session: AsyncReadSession, row: Base, *, limit: int = 100) -> Sequence[AuditEntry]:
        """The latest entries of one row, newest first."""
        mapper = row.__mapper__
        identity = identity_of(mapper, row, instance_state(row).identity)
        return await Store(AuditEntry, session).list(
            AuditEntry.entity_type == table_name(mapper),
            AuditEntry.entity_id == identity,
            order_by=[AuditEntry.sequence.desc()],
            limit=limit,
        )

    async def seal(self) -> AuditSeal | None:
        """Seal every entry that is committed by now; the newest seal, None if there was never anything to seal.

        Raises:
            ConcurrentUpdate: A transaction has been running for too long; call it again later.
        """
        return await self._sealer.seal_all()

    async def verify(self, *, since: datetime | None = None, anchor: str | None = None, most: int = 20) -> AuditReport:
        """Read the trail, in pages, and say what is not as it was written.

        Args:
            since: Only look at seals since then, and at entries of which they are the first to know; all by default.
            anchor: Of a seal, kept elsewhere: `12:3f…`, as `seal` logs it.
            most: How many discrepancies are named.
        """
        async with self._database.read() as session:
            return await Verification(session, self._keys, most=most).run(since=since, anchor=anchor)

    async def purge(self, *, before: datetime) -> int:
        """Remove entries that were sealed before a moment; how many. What is left can still be verified.

        It goes by whole epochs, and never takes an entry that no seal vouches for.

        Raises:
            ConcurrentUpdate: As `seal`.
        """
        async with self._database.read() as session:
            sealed = await session.scalar(select(func.max(AuditSeal.number)).where(AuditSeal.sealed_at < before))
            through = (sealed or 0) - 2
            doomed = await session.scalar(
                select(func.count()).select_from(AuditEntry).where(AuditEntry.epoch <= through)
            )
        if not doomed:
            return 0
        await self._sealer.seal(purge_through=through)
        return doomed

    def start(self, every: float) -> None:
        """Seal now and then, until `stop`.

        Args:
            every: Seconds between two seals. Nothing is written while nothing happens.
        """
        self._task = asyncio.create_task(self._keep_sealing(every), name="audit trail seals")

    async def stop(self) -> None:
        """End what `start` began."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def _keep_sealing(self, every: float) -> None:
        while True:
            await asyncio.sleep(every)
            try:
                if await self._sealer.is_open():
                    await self._sealer.seal()
            except MainspringError as error:
                _log.info("The audit trail was not sealed; it is tried again", reason=str(error))
            except Exception:  # noqa: BLE001 -- logged, and tried again: the service goes on
                _log.exception("The audit trail could not be sealed; it is tried again")
