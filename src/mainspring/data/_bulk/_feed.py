"""Rows on their way: read, shaped and counted, a batch at a time."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Dialect

from mainspring.data._base import Base

from ._plan import Plan
from ._rows import Batch, Progress, Reader, Rows, in_batches, tell

BATCH = 1_000
"""Rows at a time: more are no faster, and these hold up the event loop for two milliseconds."""


class Feed[M: Base]:
    """The rows of one call as batches for the driver.

    Attributes:
        plan: Which columns they have.
        rows: How many were read so far.
    """

    def __init__(
        self, plan: Plan[M], reader: Reader, batches: AsyncIterator[Sequence[Any]], first: Sequence[Any]
    ) -> None:
        self.plan = plan
        self.rows = 0
        self._reader = reader
        self._batches = batches
        self._first = first

    @classmethod
    async def begin(
        cls,
        model: type[M],
        rows: Rows,
        *,
        columns: Sequence[str],
        only: Mapping[str, Any],
        dialect: Dialect,
        defaults: bool,
        batch: int,
    ) -> "Feed[M] | None":
        """Read the first batch, which says what the rows look like; None where there is no row."""
        batches = in_batches(rows, batch)
        async for first in batches:
            reader = Reader(first[0], columns)
            return cls(Plan(model, reader.names, only=only, dialect=dialect, defaults=defaults), reader, batches, first)
        return None

    async def batches(self, progress: Progress | None = None) -> AsyncGenerator[Batch]:
        """The batches; a batch is done when the next one is asked for."""
        shaped = self._shaped(self._first)
        self._first = ()
        yield shaped
        await tell(progress, self.rows)
        async for batch in self._batches:
            shaped = self._shaped(batch)
            yield shaped
            await tell(progress, self.rows)

    def _shaped(self, batch: Sequence[Any]) -> Batch:
        shaped = self.plan.shaped(self._reader.values(batch, self.rows), self.rows)
        self.rows += len(batch)
        return shaped
