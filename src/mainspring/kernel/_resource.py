"""Infrastructure with a lifetime, declared once."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._registry import Registry


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource[T]:
    """How to make, close and ping one piece of infrastructure, and what it needs.

    Attributes:
        provides: The type it is looked up by: `registry.get(Database)`.
        name: What people see in logs, readiness and `mainspring status`; unique within the application.
        make: Builds it. Called once, after everything in `needs` is up; it may ask the registry for those.
        close: Gives it back. Called in the reverse of the order in which resources came up.
        ping: Raises if it is not usable right now; feeds readiness and `mainspring status`.
        needs: The types that must be up first. Resources that do not need each other start in parallel.
        required: When False, a failure to start or to answer a ping degrades readiness visibly and stops nothing.
            True by default: a service that silently lacks its database is worse than one that does not start.
        start_timeout: Seconds that `make` may take. 10 by default: long enough for a cold connection, short enough
            for an orchestrator's patience.
        backend: What stands behind it (`"sqlite (WAL)"`), printed by `mainspring explain`.
        chosen_by: The setting that chose the backend (`"DATABASE_URL"`), printed by `mainspring explain`.
        advice: What to do when it cannot start, in one sentence; ends the message of the failure.
    """

    provides: type[T]
    name: str
    make: "Callable[[Registry], Awaitable[T]]"
    close: Callable[[T], Awaitable[None]] | None = None
    ping: Callable[[T], Awaitable[None]] | None = None
    needs: tuple[type[Any], ...] = ()
    required: bool = True
    start_timeout: float = 10.0
    backend: str = ""
    chosen_by: str = ""
    advice: str = ""
