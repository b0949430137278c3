"""Who may run under a key, and what is answered to everybody else."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from typing import Any

from sqlalchemy import delete, func, select

from mainspring.data._session import AsyncWriteSession
from mainspring.errors import IdempotencyKeyInUse, IdempotencyKeyReused
from mainspring.kernel import Clock

from ._models import IdempotentAnswer

_LARGEST_BODY = 1024 * 1024
_PURGED_AT_ONCE = 200
_RUNNING = "The first request with this Idempotency-Key is still running. Ask again in a moment."
# They belong to one response, and a cookie to one client at one moment.
_NOT_KEPT = frozenset({b"set-cookie", b"date", b"connection", b"transfer-encoding"})

type Headers = Sequence[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to run under a key, until the unit of work ends.

    Attributes:
        digest: Of principal and key.
        fingerprint: Of the request.
    """

    digest: bytes
    fingerprint: bytes


class Replay(Exception):
    """The request was answered before; this is the answer.

    Attributes:
        status: As it was.
        headers: As they were, without those of one connection or client.
        body: As it was.
    """

    def __init__(self, status: int, headers: Headers, body: bytes) -> None:
        super().__init__(status)
        self.status = status
        self.headers = headers
        self.body = body


class IdempotencyKeys:
    """Keeps answers by key.

    A key is held by a lock of the database that ends with the transaction, so that a process that dies holds nothing.
    On SQLite, which has one writer at a time, another process waits for the writer and then finds the answer.

    Args:
        clock: The time.
        retention: How long an answer is kept; a later request with its key is a new one.
    """

    def __init__(self, *, clock: Clock, retention: timedelta) -> None:
        self._clock = clock
        self._retention = retention
        self._running: set[bytes] = set()

    async def claim(self, session: AsyncWriteSession, *, principal: str, key: str, fingerprint: bytes) -> Claim:
        """Take a key for a request. `release` gives it back, whatever came of it.

        Raises:
            Replay: The request was answered before.
            IdempotencyKeyInUse: The first request with this key is running.
            IdempotencyKeyReused: The key was used for another request.
        """
        digest = sha256(f"{len(principal)}:{principal}{key}".encode()).digest()
        # Asked first: within one process nobody has to wait for a connection to learn it.
        if digest in self._running:
            raise IdempotencyKeyInUse(_RUNNING, retry_after=1)
        self._running.add(digest)
        try:
            await self._lock(session, digest)
            await self._raise_earlier(session, digest, fingerprint)
        except BaseException:
            self._running.discard(digest)
            raise
        return Claim(digest, fingerprint)

    def release(self, claim: Claim) -> None:
        """Give a key back once its unit of work has ended."""
        self._running.discard(claim.digest)

    async def keep(
        self, session: AsyncWriteSession, claim: Claim, *, status: int, headers: Headers, body: bytes | None
    ) -> None:
        """Store the answer, in the transaction of the effect."""
        kept = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in headers if name not in _NOT_KEPT]
        session.add(
            IdempotentAnswer(
                digest=claim.digest,
                fingerprint=claim.fingerprint,
                status=status,
                headers=kept,
                body=body if body is not None and len(body) <= _LARGEST_BODY else None,
                expires_at=self._clock.now() + self._retention,
            )
        )
        await session.flush()

    async def _lock(self, session: AsyncWriteSession, digest: bytes) -> None:
        if session.get_bind().dialect.name == "postgresql":
            number = int.from_bytes(digest[:8], signed=True)
            if not await session.scalar(select(func.pg_try_advisory_xact_lock(number))):
                raise IdempotencyKeyInUse(_RUNNING, retry_after=1)

    async def _raise_earlier(self, session: AsyncWriteSession, digest: bytes, fingerprint: bytes) -> None:
        await self._purge(session)
        earlier = await session.scalar(select(IdempotentAnswer).where(IdempotentAnswer.digest == digest))
        if earlier is None:
            return
        if earlier.expires_at <= self._clock.now():
            await session.delete(earlier)
            await session.flush()
            return
        if earlier.fingerprint != fingerprint:
            raise IdempotencyKeyReused("This Idempotency-Key was used for another request. Take a new one.")
        if earlier.body is None:
            raise IdempotencyKeyReused(
                "The request was carried out before; its answer was too large to be kept and cannot be repeated."
            )
        headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in earlier.headers]
        raise Replay(earlier.status, headers, earlier.body)

    async def _purge(self, session: AsyncWriteSession) -> None:
        """Remove some of what has expired. Each request removes more than it adds, so the table does not grow."""
        expired = select(IdempotentAnswer.id).where(IdempotentAnswer.expires_at <= self._clock.now())
        some: Any = expired.limit(_PURGED_AT_ONCE).with_for_update(skip_locked=True)
        await session.execute(
            delete(IdempotentAnswer).where(IdempotentAnswer.id.in_(some)).execution_options(synchronize_session=False)
        )
