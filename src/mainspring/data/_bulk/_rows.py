"""What is handed to a bulk function: rows in one of three forms, finite or not, taken a batch at a time."""

from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Mapping, Sequence
from inspect import isawaitable
from itertools import batched
from operator import attrgetter, itemgetter
from typing import Any

from pydantic import BaseModel

from ._refusals import bad_row

type Rows = Iterable[Any] | AsyncIterable[Any]
type Row = Sequence[Any]
"""Values in the order of the columns."""
type Batch = Sequence[Row]


async def in_batches(rows: Rows, size: int) -> AsyncIterator[Sequence[Any]]:
    """The rows, so many at a time."""
    if isinstance(rows, AsyncIterable):
        batch: list[Any] = []
        async for row in rows:
            batch.append(row)
            if len(batch) == size:
                yield batch
                batch = []
        if batch:
            yield batch
    else:
        for piece in batched(rows, size, strict=False):
            yield piece


class Reader:
    """Takes the values out of rows. The first row decides which form all of them have.

    Args:
        first: A mapping, a tuple or list, a Pydantic model, or an object with attributes.
        columns: What to take, and in which order tuples have it; empty to go by the first row.

    Raises:
        TypeError: Tuples, or objects other than Pydantic's, without `columns`.
    """

    def __init__(self, first: Any, columns: Sequence[str]) -> None:
        self._getter: Callable[[Any], Any] | None = None
        self._width: int | None = None
        if isinstance(first, Mapping):
            self.names = tuple(columns or first)
            self._getter = itemgetter(*self.names)
            # Where columns are named, rows may have more; where they are not, a key too many is a mistake.
            self._width = None if columns else len(first)
        elif not columns and not isinstance(first, BaseModel):
            raise TypeError(f"Rows that are {type(first).__name__} do not say what their values are; name `columns`.")
        elif isinstance(first, tuple | list):
            self.names, self._width = tuple(columns), len(columns)
        else:
            self.names = tuple(columns or type(first).model_fields)
            self._getter = attrgetter(*self.names)

    def values(self, batch: Sequence[Any], done: int) -> Batch:
        """The values of a batch; tuples and lists are what they are.

        Args:
            batch: Rows.
            done: How many rows came before.

        Raises:
            ValidationFailed: A row has another form than the first one, too few values, or unknown ones.
        """
        try:
            if self._width is not None and set(map(len, batch)) != {self._width}:
                raise ValueError
            if self._getter is not None:
                values = map(self._getter, batch)
                return list(values if len(self.names) > 1 else zip(values, strict=True))
            if not all(issubclass(kind, tuple | list) for kind in set(map(type, batch))):
                raise TypeError
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            number, says = self._first_misfit(batch)
            raise bad_row(done + number, says) from error
        return batch

    def _first_misfit(self, batch: Sequence[Any]) -> tuple[int, str]:
        for number, row in enumerate(batch):
            says = self._misfit(row)
            if says:
                return number, says
        raise AssertionError("A batch that cannot be read has a row that cannot.")

    def _misfit(self, row: Any) -> str:
        if self._getter is None:
            fits = isinstance(row, tuple | list) and len(row) == len(self.names)
            return "" if fits else f"there should be {len(self.names)} values: {', '.join(self.names)}."
        try:
            self._getter(row)
            unexpected = set(row) - set(self.names) if self._width is not None else set()
        except (LookupError, TypeError, AttributeError):
            return f"it does not have all of {', '.join(self.names)}."
        return f"it has {', '.join(map(str, unexpected))}, which the first row does not have." if unexpected else ""


type Progress = Callable[[int], object]


async def tell(progress: Progress | None, done: int) -> None:
    """Call a callback, which may be asynchronous, with how many rows are done."""
    if progress is not None:
        said = progress(done)
        if isawaitable(said):
            await said
