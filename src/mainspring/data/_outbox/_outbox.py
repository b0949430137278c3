"""Records messages in the transaction of what they are about."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID
from weakref import WeakSet

from pydantic import BaseModel
from pydantic_core import to_json
from sqlalchemy import func, select, update

from mainspring.data._session import AsyncReadSession, AsyncWriteSession
from mainspring.kernel import Clock, SystemClock, new_id
from mainspring.observability import current_traceparent

from ._models import OutboxRow
from ._notifications import notify

_LARGEST = 256 * 1024
_LONGEST_NAME = 200
_WAKING = "mainspring.outbox.waking"


@dataclass(frozen=True, slots=True)
class OutboxMessage:
    """A message on its way out.

    Attributes:
        id: Its own, the same each time it is delivered: what a receiver knows a repetition by.
        topic: What it is about.
        payload: JSON.
        key: Messages of one key are delivered in the order in which they were recorded.
        headers: As given; `traceparent` where there was a trace, for `continue_trace`.
        recorded_at: When.
        attempts: How often it has been tried, this time included.
    """

    id: UUID
    topic: str
    payload: str
    key: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    recorded_at: datetime | None = None
    attempts: int = 1


class Outbox:
    """Messages that leave after the commit of the transaction that recorded them, and never without it.

    Args:
        clock: The time.
        largest: Bytes of a payload. 256 KiB by default, which brokers take; put what is larger elsewhere and send its
            address.
    """

    def __init__(self, *, clock: Clock | None = None, largest: int = _LARGEST) -> None:
        self._clock = clock or SystemClock()
        self._largest = largest
        self.wakes: WeakSet[asyncio.Event] = WeakSet()
        """What is set after each commit, for the relays of this process."""

    async def record(
        self,
        session: AsyncWriteSession,
        topic: str,
        payload: BaseModel | Mapping[str, Any],
        *,
        key: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> UUID:
        """Store a message in the session's transaction; its id.

        Args:
            session: Of the unit of work that the message tells about.
            topic: At most 200 characters.
            payload: A model, or what JSON can hold.
            key: Of what must stay in order: an order's id. None for messages that may overtake each other.
            headers: For the receiver. `traceparent` is added.

        Raises:
            ValueError: A name is empty or too long, or the payload too large.
        """
        for what, name in (("topic", topic), ("key", key)):
            if name is not None and not 0 < len(name) <= _LONGEST_NAME:
                raise ValueError(f"The {what} of a message has 1 to {_LONGEST_NAME} characters, not {len(name)}.")
        content = to_json(payload)
        if len(content) > self._largest:
            raise ValueError(
                f"The payload for {topic!r} has {len(content)} bytes of at most {self._largest}. "
                "Store it elsewhere and send its address."
            )
        traceparent = current_traceparent()
        now = self._clock.now()
        row = OutboxRow(
            id=new_id(),
            topic=topic,
            key=key,
            payload=content.decode(),
            headers={**({"traceparent": traceparent} if traceparent else {}), **(headers or {})},
            recorded_at=now,
            due_at=now,
        )
        session.add(row)
        # At once: positions are in the order of the calls, whatever else is flushed.
        await session.flush()
        await self._wake_after(session)
        return row.id

    async def dead(self, session: AsyncReadSession) -> int:
        """How many messages were given up."""
        counted = await session.scalar(
            select(func.count()).select_from(OutboxRow).where(OutboxRow.dead_at.is_not(None))
        )
        return counted or 0

    async def replay(self, session: AsyncWriteSession, *, topic: str | None = None) -> int:
        """Try messages that were given up once more, with all their attempts; how many. They come as late as they are:
        others of their key may have overtaken them.

        Args:
            session: Of a unit of work.
            topic: Only of this one.
        """
        given_up = update(OutboxRow).where(OutboxRow.dead_at.is_not(None))
        if topic is not None:
            given_up = given_up.where(OutboxRow.topic == topic)
        revived = given_up.values(dead_at=None, attempts=0, due_at=self._clock.now()).returning(OutboxRow.position)
        found = await session.scalars(revived.execution_options(synchronize_session=False))
        await self._wake_after(session)
        return len(found.all())

    async def _wake_after(self, session: AsyncWriteSession) -> None:
        # Once: NOTIFY takes a lock that commits wait for.
        if not session.info.get(_WAKING):
            session.info[_WAKING] = True
            session.after_commit(self._wake)
            await notify(session)

    async def _wake(self) -> None:
        for event in self.wakes:
            event.set()
