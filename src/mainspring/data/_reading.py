"""The block in which a session reads."""

from collections.abc import Callable
from types import TracebackType

from mainspring.errors import MainspringError

from ._session import AsyncReadSession, give_back
from ._translate import translated, translation

type Note = Callable[[BaseException, MainspringError], MainspringError]


class Reading:
    """What `Database.read` gives: `async with` it. A class and not a generator, because every request that reads opens
    one.
    """

    __slots__ = ("_note", "_session")

    def __init__(self, session: AsyncReadSession, note: Note | None = None) -> None:
        self._session = session
        self._note = note

    def open(self) -> AsyncReadSession:
        """The session; `__aexit__` gives it back."""
        return self._session

    async def __aenter__(self) -> AsyncReadSession:
        """The session."""
        return self.open()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Refuse changes that would be lost, give the connection back, translate what the database raised."""
        session = self._session
        with translated():
            try:
                if error is None and (session.identity_map.check_modified() or session.new or session.deleted):
                    await session.flush()
            finally:
                # It may be used later by mistake, and would begin anew.
                session.direct = None
                await give_back(session)
        known = None if error is None else translation(error)
        if error is not None and known is not None:
            raise (known if self._note is None else self._note(error, known)) from error
