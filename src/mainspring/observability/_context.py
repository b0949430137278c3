"""What every log line of one request or job has in common."""

from asyncio import Task
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar, Token
from dataclasses import dataclass
from typing import Any


@dataclass(slots=True)
class LogContext:
    """Correlation of log lines.

    Attributes:
        request_id: Names the request in logs, in answers and downstream.
        trace_id: Names the whole trace that the request is part of (W3C Trace Context), if there is one.
        principal: Id of who is acting, once known.
    """

    request_id: str
    trace_id: str | None = None
    principal: str | None = None

    def fields(self) -> dict[str, str]:
        """What goes on every line."""
        known = {"request_id": self.request_id}
        if self.trace_id is not None:
            known["trace_id"] = self.trace_id
        if self.principal is not None:
            known["principal"] = self.principal
        return known


_current: ContextVar[LogContext | None] = ContextVar("mainspring_log_context", default=None)


def current_context() -> LogContext | None:
    """The context of the running request or job, or None outside of one."""
    return _current.get()


def enter_context(context: LogContext) -> Token[LogContext | None]:
    """Make `context` the current one until `leave_context`. `use_context` does both, and costs a few times as much."""
    return _current.set(context)


def leave_context(token: Token[LogContext | None]) -> None:
    """End what `enter_context` began."""
    _current.reset(token)


@contextmanager
def use_context(context: LogContext) -> Iterator[LogContext]:
    """Make `context` the current one within the block."""
    token = _current.set(context)
    try:
        yield context
    finally:
        _current.reset(token)


def context_of(task: Task[Any]) -> LogContext | None:
    """The context that a task runs in; may be asked from any thread."""
    return task.get_context().get(_current)
