"""Who is acting, and why: said by whoever knows it, read when an entry is written."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from mainspring.observability import LogContext, current_context


@dataclass(frozen=True, slots=True)
class Actor:
    """Who makes a change.

    Attributes:
        kind: `user`, `job`, `api-key` or what else the service has; at most 32 characters.
        id: Of this one among its kind. No e-mail address: what the trail holds, it holds for years.
    """

    kind: str
    id: str = ""


@dataclass(frozen=True, slots=True)
class _Acting:
    actor: Actor
    # Where it was said for one request, that request: a context variable outlives it in a task that serves several.
    within: LogContext | None = None


SYSTEM = Actor("system")
"""Stands in entries of changes for which nobody was named."""

_acting: ContextVar[_Acting | None] = ContextVar("mainspring_actor", default=None)
_reason: ContextVar[str | None] = ContextVar("mainspring_audit_reason", default=None)


@contextmanager
def acting_as(actor: Actor) -> Iterator[None]:
    """Within the block, changes of audited models are this actor's. For jobs, commands and tests.

    What counts is when the change is flushed: open the unit of work inside the block.
    """
    token = _acting.set(_Acting(actor))
    try:
        yield
    finally:
        _acting.reset(token)


def act_as(actor: Actor) -> None:
    """From here to the end of the running request, changes are this actor's. For dependencies that know who is asking;
    `CurrentUser` of `mainspring.accounts` does it.

    The trap: FastAPI runs a dependency without `async` in a thread, and what is said there is not heard here.
    """
    _acting.set(_Acting(actor, current_context()))


@contextmanager
def audit_reason(reason: str) -> Iterator[None]:
    """Within the block, entries say why.

    `with audit_reason("asked for by the customer, ticket 812"): …`
    """
    token = _reason.set(reason)
    try:
        yield
    finally:
        _reason.reset(token)


def current_actor() -> Actor | None:
    """Who is acting; None where nobody has said so."""
    acting = _acting.get()
    if acting is None or (acting.within is not None and acting.within is not current_context()):
        return None
    return acting.actor


def current_reason() -> str | None:
    """Why, if anybody has said so."""
    return _reason.get()
