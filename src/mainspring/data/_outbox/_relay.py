"""Takes recorded messages to where they belong: at least once, those of a key in order."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import Select, delete, exists, or_, select, update
from sqlalchemy.orm import aliased

from mainspring.data._database import Database
from mainspring.kernel import Clock, SystemClock
from mainspring.observability import get_logger, redact_error

from ._models import OutboxRow
from ._notifications import Listener
from ._outbox import Outbox, OutboxMessage

_log = get_logger(__name__)

type Deliver = Callable[[Sequence[OutboxMessage]], Awaitable[None]]
"""Hands messages to whoever wants them; returns when they are safe there, raises when they are not."""

_LONGEST_ERROR = 2_000
# Of a lease; the rest is for writing down what came of it.
_SHARE = 0.9


class OutboxRelay:
    """Delivers what an outbox holds.

    A message is leased in one short transaction, delivered outside of any, and deleted in another; so it comes at least
    once, and again after the lease when the process dies in between. An attempt is counted when it begins: a message
    that kills its relay is given up like any other. When a batch fails, its messages are tried one by one.

    Any number of relays, in any number of processes, share the work. Of each key only the oldest message is leased at a
    time, which keeps the order.

    Args:
        database: Of the outbox.
        outbox: What wakes the relay after a commit in this process.
        deliver: The hook.
        batch: Messages that are handed over at once.
        poll: Seconds between two looks where nothing wakes it. On SQLite what another process has recorded waits so long.
        lease: Seconds that a delivery may take. It is cancelled then, and others may try.
        attempts: After so many a message is dead: kept, and left alone until `Outbox.replay`.
        backoff: Seconds until the second attempt. Each further one waits twice as long, up to five minutes, and a random
            part of it less, so that what failed together does not come back together.
        clock: The time.
    """

    def __init__(
        self,
        database: Database,
        outbox: Outbox,
        deliver: Deliver,
        *,
        batch: int = 100,
        poll: float = 1.0,
        lease: float = 30.0,
        attempts: int = 10,
        backoff: float = 1.0,
        clock: Clock | None = None,
    ) -> None:
        self._database = database
        self._deliver = deliver
        self._batch = batch
        self._poll = poll
        self._lease = lease
        self._attempts = attempts
        self._backoff = backoff
        self._clock = clock or SystemClock()
        self._awake = asyncio.Event()
        self._listener = Listener(database, self._awake)
        self._stopping = False
        self._task: asyncio.Task[None] | None = None
        outbox.wakes.add(self._awake)

    def start(self) -> None:
        """Deliver from now on, in the background."""
        self._stopping = False
        self._task = asyncio.create_task(self._run(), name="outbox relay")

    async def stop(self) -> None:
        """Finish the batch at hand, and take no more."""
        self._stopping = True
        self._awake.set()
        if self._task is not None:
            await self._task
            self._task = None
        await self._listener.close()

    async def drain(self) -> int:
        """Deliver until nothing is due; how many messages were tried. For tests and commands."""
        tried = 0
        while leased := await self._claim():
            await self._work(leased)
            tried += len(leased)
        return tried

    async def _run(self) -> None:
        while True:
            # Before anything is looked at: what wakes us from here on is not missed, `stop` included.
            self._awake.clear()
            if self._stopping:
                return
            try:
                await self._listener.listen()
                leased = await self._claim()
                if leased:
                    await self._work(leased)
                    continue
            except Exception:  # noqa: BLE001 -- logged, and tried again: what is leased comes back by itself
                _log.exception("The outbox could not be read or written; it is tried again")
            try:
                await asyncio.wait_for(self._awake.wait(), self._poll)
            except TimeoutError:
                continue

    async def _claim(self) -> Sequence[OutboxMessage]:
        async with self._database.write() as session:
            rows = (await session.scalars(self._claimable())).all()
            if rows:
                until = self._clock.now() + timedelta(seconds=self._lease)
                await session.execute(
                    update(OutboxRow)
                    .where(OutboxRow.position.in_([row.position for row in rows]))
                    .values(attempts=OutboxRow.attempts + 1, due_at=until)
                    .execution_options(synchronize_session=False)
                )
            return [_message(row) for row in rows]

    def _claimable(self) -> Select[Any]:
        earlier = aliased(OutboxRow)
        blocked = exists().where(
            earlier.key == OutboxRow.key, earlier.position < OutboxRow.position, earlier.dead_at.is_(None)
        )
        return (
            select(OutboxRow)
            .where(OutboxRow.dead_at.is_(None), OutboxRow.due_at <= self._clock.now())
            .where(or_(OutboxRow.key.is_(None), ~blocked))
            .order_by(OutboxRow.position)
            .limit(self._batch)
            .with_for_update(of=OutboxRow, skip_locked=True)
        )

    async def _work(self, messages: Sequence[OutboxMessage]) -> None:
        now = asyncio.get_running_loop().time()
        end = now + self._lease * _SHARE
        # A batch that hangs must leave time to find out which of its messages does it.
        error = await self._try(messages, end if len(messages) == 1 else now + self._lease * _SHARE / 2)
        if error is None:
            await self._finish(messages)
        elif len(messages) == 1:
            await self._postpone(messages[0], error)
        else:
            await self._work_singly(messages, end)

    async def _work_singly(self, messages: Sequence[OutboxMessage], end: float) -> None:
        for number, message in enumerate(messages):
            if asyncio.get_running_loop().time() >= end:
                # One of them has hung until now. The others were not tried by themselves, so it does not count.
                await self._give_back(messages[number:])
                return
            error = await self._try([message], end)
            if error is None:
                await self._finish([message])
            else:
                await self._postpone(message, error)

    async def _try(self, messages: Sequence[OutboxMessage], end: float) -> Exception | None:
        try:
            async with asyncio.timeout_at(end):
                await self._deliver(messages)
        except Exception as error:  # noqa: BLE001 -- whatever it is, it is kept with the message
            return error
        return None

    async def _give_back(self, messages: Sequence[OutboxMessage]) -> None:
        async with self._database.write() as session:
            await session.execute(
                update(OutboxRow)
                .where(OutboxRow.id.in_([message.id for message in messages]))
                .values(attempts=OutboxRow.attempts - 1, due_at=self._clock.now())
                .execution_options(synchronize_session=False)
            )

    async def _finish(self, messages: Sequence[OutboxMessage]) -> None:
        async with self._database.write() as session:
            await session.execute(
                delete(OutboxRow)
                .where(OutboxRow.id.in_([message.id for message in messages]))
                .execution_options(synchronize_session=False)
            )

    async def _postpone(self, message: OutboxMessage, error: Exception) -> None:
        now = self._clock.now()
        is_dead = message.attempts >= self._attempts
        # Not for security: any spread will do.
        wait = min(self._backoff * 2 ** (message.attempts - 1), 300.0) * random.uniform(0.5, 1.0)  # noqa: S311
        text = redact_error(f"{type(error).__name__}: {error}")[:_LONGEST_ERROR]
        async with self._database.write() as session:
            await session.execute(
                update(OutboxRow)
                .where(OutboxRow.id == message.id)
                .values(
                    last_error=text.replace("\x00", ""),
                    due_at=now + timedelta(seconds=wait),
                    dead_at=now if is_dead else None,
                )
                .execution_options(synchronize_session=False)
            )
        if is_dead:
            _log.error("A message was given up", message=str(message.id), topic=message.topic, reason=text)


def _message(row: OutboxRow) -> OutboxMessage:
    return OutboxMessage(
        row.id, row.topic, row.payload, row.key, dict(row.headers), row.recorded_at, attempts=row.attempts + 1
    )
