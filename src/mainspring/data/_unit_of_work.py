"""The block in which a session writes: all of it or nothing."""

from types import TracebackType

from ._session import AsyncWriteSession, complete, give_back
from ._translate import translated, translation


class UnitOfWork:
    """What `Database.write` gives: `async with` it. A class and not a generator, because every request that writes opens
    one.
    """

    __slots__ = ("_session",)

    def __init__(self, session: AsyncWriteSession) -> None:
        self._session = session

    def open(self) -> AsyncWriteSession:
        """The session; `__aexit__` commits or rolls back, and gives it back."""
        return self._session

    async def __aenter__(self) -> AsyncWriteSession:
        """The session."""
        return self.open()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Commit if the block ended well, roll back otherwise, and translate what the database raised."""
        with translated():
            try:
                if error is None:
                    await complete(self._session)
            finally:
                await give_back(self._session)
        known = None if error is None else translation(error)
        if known is not None:
            raise known from error
