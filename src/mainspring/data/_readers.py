"""Where sessions that read connect: the database itself, or a replica of it while that answers."""

import time
from typing import Any, override

from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, async_sessionmaker

from mainspring.errors import ConcurrentUpdate, DatabaseUnavailable, MainspringError, ServiceUnavailable
from mainspring.observability import get_logger

from ._direct import DirectReader
from ._reading import Reading
from ._session import AsyncReadSession

_log = get_logger(__name__)

# Long enough that a replica which is down costs a few requests and not every tenth, short enough that nobody has to
# tell the service that it is back.
_AVOIDED_SECONDS = 5.0


class Readers:
    """Makes sessions that read from one place.

    Args:
        bind: Where.
        direct: Whether plans may go straight to the driver there.
        options: For the sessions.
    """

    def __init__(self, bind: AsyncEngine | AsyncConnection, *, direct: bool, options: dict[str, Any]) -> None:
        self._direct = DirectReader(bind) if direct else None
        self._sessions = async_sessionmaker(
            bind, class_=AsyncReadSession, join_transaction_mode="rollback_only", **options
        )

    def session(self) -> AsyncReadSession:
        """A new one."""
        session: AsyncReadSession = self._sessions()
        session.direct = self._direct
        return session

    def read(self) -> Reading:
        """A block with one."""
        return Reading(self.session())


class ReplicaReaders(Readers):
    """Readers of a replica, which step aside for a while when it does not answer."""

    def __init__(self, bind: AsyncEngine, *, direct: bool, options: dict[str, Any]) -> None:
        super().__init__(bind, direct=direct, options=options)
        self._avoided_until = 0.0

    @property
    def are_usable(self) -> bool:
        """Whether the replica has answered of late, as far as anybody has asked."""
        return time.monotonic() >= self._avoided_until

    @override
    def read(self) -> Reading:
        """A block with a session that notes whether the replica answers."""
        return Reading(self.session(), self._note)

    def _note(self, error: BaseException, known: MainspringError) -> MainspringError:
        if isinstance(known, ConcurrentUpdate):
            # Nobody has changed anything: a replica stops statements that are in the way of what it has to replay.
            return DatabaseUnavailable("The service is busy; please try again shortly.", retry_after=1)
        # A pool that is used up says nothing about the replica, and the database itself would have to bear the load.
        lost = isinstance(known, ServiceUnavailable) and not isinstance(error, PoolTimeoutError)
        if lost and self.are_usable:
            self._avoided_until = time.monotonic() + _AVOIDED_SECONDS
            _log.warning("The replica does not answer; reads go to the database itself", seconds=_AVOIDED_SECONDS)
        return known
