"""Lets a coroutine call plain code that waits."""

from collections.abc import Callable, Coroutine, Generator
from functools import partial
from types import coroutine
from typing import Any

from sqlalchemy.util import await_, greenlet_spawn


async def waiting[T](work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine of somebody else's whose plain callees, an iterator say, may wait by SQLAlchemy's `await_`.

    It runs in a greenlet, whose whole stack stands still until what the callee waits for is there. The task stays the
    same, and so does what it means to cancel it.
    """
    return await greenlet_spawn(_run, work)


def _run[T](work: Coroutine[Any, Any, T]) -> T:
    go_on: Callable[[], Any] = partial(work.send, None)
    while True:
        try:
            awaited = go_on()
        except StopIteration as end:
            result: T = end.value
            return result
        try:
            go_on = partial(work.send, await_(_handed_on(awaited)))
        except BaseException as error:  # noqa: BLE001 -- it is the coroutine's to handle, a cancellation above all
            go_on = partial(work.throw, error)


@coroutine
def _handed_on(awaited: Any) -> Generator[Any, Any, Any]:
    """What a coroutine asks of the event loop, asked by its caller."""
    return (yield awaited)
