"""Two kinds of session: one that reads, one that writes. Which one a function takes says what it may do."""

from collections.abc import Awaitable, Callable
from typing import Any, Never, override

from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from mainspring.observability import get_logger

from ._direct import DirectReader
from ._soft_delete import leave_out_deleted
from ._tenancy import keep_to_tenant
from ._translate import translated

_log = get_logger(__name__)

type _Callback = Callable[[], Awaitable[None]]


class _ReadOnlySession(Session):
    @override
    def flush(self, objects: Any = None) -> None:
        changed = [*self.new, *self.dirty, *self.deleted]
        if changed:
            kinds = ", ".join(sorted({type(item).__name__ for item in changed}))
            raise TypeError(f"A ReadSession cannot store changes ({kinds}). Take a WriteSession instead.")


class _WriteSession(Session):
    # Here and not in the asynchronous face: queries and savepoints flush too.
    @override
    def flush(self, objects: Any = None) -> None:
        with translated():
            super().flush(objects)


for _kind in (_ReadOnlySession, _WriteSession):
    leave_out_deleted(_kind)
    keep_to_tenant(_kind)


class AsyncReadSession(AsyncSession):
    """Reads. A function that takes one cannot change anything: a flush with changes raises, and the database
    connection itself is read-only.
    """

    sync_session_class: type[Session] = _ReadOnlySession
    direct: DirectReader | None = None
    """What runs statements that need no transaction, where the session may be read past."""


class AsyncWriteSession(AsyncReadSession):
    """Reads and writes within the unit of work, which alone commits.

    It is also an `AsyncReadSession`: what only reads can be called with either.
    """

    sync_session_class: type[Session] = _WriteSession

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._after_commit: list[_Callback] = []

    def after_commit(self, callback: _Callback) -> None:
        """Call `callback` once the unit of work has committed; never when it rolls back.

        It runs before the response is sent, so it should be short; if it fails, that is logged and the response is not
        affected, since the effect has happened. What must not be lost is a job, not a callback.
        """
        self._after_commit.append(callback)

    @override
    async def commit(self) -> Never:
        """Refuse: a commit in the middle would break all-or-nothing.

        Raises:
            TypeError: Always. The unit of work commits; for a part that may fail alone use `begin_nested()`.
        """
        raise TypeError("The unit of work commits, not the code inside it. Use begin_nested() for a savepoint.")

    @override
    def begin(self) -> Never:
        """Refuse: a transaction of its own would commit at the end of its block.

        Raises:
            TypeError: Always, as `commit`.
        """
        raise TypeError("The unit of work begins and commits. Use begin_nested() for a part that may fail alone.")


async def complete(session: AsyncWriteSession) -> None:
    """Commit, then run what waits for the commit. For the unit of work alone."""
    await AsyncSession.commit(session)
    for callback in session._after_commit:  # noqa: SLF001 -- the unit of work's own list
        try:
            await callback()
        except Exception:  # noqa: BLE001 -- the commit stands; the failure is told
            _log.exception("A callback after the commit failed")


async def give_back(session: AsyncReadSession) -> None:
    """Close a session; rolls back what was not committed, also while this task is being cancelled."""
    if session.in_transaction():
        await session.__aexit__(None, None, None)
    else:
        # Nothing to wait for, and so no task that would see to it: a third of what a session costs.
        session.sync_session.close()
