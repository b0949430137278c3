"""Starts resources in dependency order, closes them in reverse, and asks them how they are."""

import asyncio
import logging
from collections.abc import Awaitable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from time import perf_counter
from typing import Any, Literal, cast

from ._resource import Resource

_log = logging.getLogger(__name__)

type _Kind = type[Any]


class RegistryError(Exception):
    """The declared resources do not fit together; the message lists every misfit."""


class ResourceFailed(Exception):
    """A resource could not start: says which, why, and what to do."""

    def __init__(self, resource: Resource[Any], cause: BaseException) -> None:
        self.resource = resource
        reason = (
            f"it did not come up within {resource.start_timeout:g} s" if isinstance(cause, _TooLate) else _said(cause)
        )
        where = f" ({resource.backend}, chosen by {resource.chosen_by})" if resource.backend else ""
        advice = f" {resource.advice}" if resource.advice else ""
        super().__init__(f"Resource {resource.name!r}{where} could not start: {reason}.{advice}")


@dataclass(frozen=True, slots=True)
class Health:
    """How one resource is.

    Attributes:
        name: The resource.
        state: `"up"`, `"down"` (a required resource does not answer) or `"degraded"` (an optional one does not).
        required: Whether readiness depends on it.
        detail: Why it is not up; may name hosts, so it is for operators, never for strangers.
        milliseconds: How long the ping took.
    """

    name: str
    state: Literal["up", "down", "degraded"]
    required: bool
    detail: str = ""
    milliseconds: float = 0.0


class Registry:
    """The application's infrastructure.

    Args:
        resources: What to run. Order does not matter; `needs` decides.

    Raises:
        RegistryError: A type or a name is declared twice, a need is not declared, or needs form a cycle. One
            message lists all of it.
    """

    def __init__(self, resources: Iterable[Resource[Any]] = ()) -> None:
        self._resources: dict[_Kind, Resource[Any]] = {}
        problems = [problem for resource in resources if (problem := self._admit(resource))]
        problems += self._misfits()
        if problems:
            raise RegistryError("\n".join(problems))
        self._live: dict[_Kind, object] = {}
        self._failed: dict[_Kind, ResourceFailed] = {}
        self._abandoned: set[asyncio.Future[None]] = set()

    @property
    def resources(self) -> tuple[Resource[Any], ...]:
        """Everything declared, in the order of declaration."""
        return tuple(self._resources.values())

    @property
    def failures(self) -> Mapping[str, ResourceFailed]:
        """Optional resources that did not start, by name."""
        return {failure.resource.name: failure for failure in self._failed.values()}

    def get[T](self, kind: type[T]) -> T:
        """The live object of a type.

        Raises:
            LookupError: Nothing provides the type, or the registry has not started it; the message says which.
        """
        try:
            return cast("T", self._live[kind])
        except KeyError:
            raise LookupError(self._why_absent(kind)) from None

    def find[T](self, kind: type[T]) -> T | None:
        """The live object of a type, or None where it is optional and absent."""
        return cast("T | None", self._live.get(kind))

    async def start(self) -> None:
        """Bring everything up; independent resources start in parallel.

        Raises:
            ResourceFailed: A required resource did not start. Those already up are closed first.
            RuntimeError: They are up already; a second set would leave the first one unclosed.
        """
        if self._live:
            raise RuntimeError("These resources are running. Close the registry before starting it again.")
        self._failed.clear()
        ready = {kind: asyncio.Event() for kind in self._resources}
        try:
            async with asyncio.TaskGroup() as group:
                for kind, resource in self._resources.items():
                    group.create_task(self._start_one(kind, resource, ready), name=f"start {resource.name}")
        except BaseException as error:
            await self.close()
            # One task's failure cancels the others; only the failure itself is news.
            failures = error.subgroup(ResourceFailed) if isinstance(error, BaseExceptionGroup) else None
            if failures is None:
                raise
            failure = _first(failures)
            raise failure from failure.__cause__

    async def close(self) -> None:
        """Close what is up, last started first. A close that fails is logged and never hides another."""
        while self._live:
            kind, live = self._live.popitem()
            resource = self._resources[kind]
            if resource.close is None:
                continue
            try:
                await _uncancelled(resource.close(live))
            except Exception:  # noqa: BLE001 -- logged; the other resources still have to be closed
                _log.exception("Closing resource %s failed; going on with the others", resource.name)

    async def ping(self, timeout: float = 2.0) -> list[Health]:  # noqa: ASYNC109 -- the bound is per resource
        """Ask every resource how it is, in parallel.

        Args:
            timeout: Seconds each may take. 2 by default: a probe usually gives up after 5.
        """
        return list(await asyncio.gather(*(self._ping_one(kind, timeout) for kind in self._resources)))

    def _admit(self, resource: Resource[Any]) -> str | None:
        other = self._resources.setdefault(resource.provides, resource)
        if other is not resource:
            return f"{resource.provides.__name__} is provided twice: by {other.name!r} and by {resource.name!r}."
        same_name = [r for r in self._resources.values() if r.name == resource.name and r is not resource]
        return f"Two resources are named {resource.name!r}; rename one." if same_name else None

    def _misfits(self) -> list[str]:
        missing = [
            f"{resource.name!r} needs {kind.__name__}, which nothing provides; add a Resource or a Module that does."
            for resource in self._resources.values()
            for kind in resource.needs
            if kind not in self._resources
        ]
        return missing + [
            f"Resources need each other in a circle: {' -> '.join(kind.__name__ for kind in circle)}."
            for circle in _circles({kind: set(resource.needs) for kind, resource in self._resources.items()})
        ]

    def _why_absent(self, kind: _Kind) -> str:
        if kind in self._failed:
            return f"{kind.__name__} is not available: {self._failed[kind]}"
        if kind in self._resources:
            return f"{kind.__name__} is not running. Is the application's lifespan active?"
        known = ", ".join(sorted(k.__name__ for k in self._resources)) or "nothing"
        return f"No resource provides {kind.__name__}; this application has: {known}."

    async def _start_one(self, kind: _Kind, resource: Resource[Any], ready: Mapping[_Kind, asyncio.Event]) -> None:
        for need in resource.needs:
            await ready[need].wait()
        began = perf_counter()
        try:
            absent = [need for need in resource.needs if need not in self._live]
            if absent:
                raise LookupError(self._why_absent(absent[0]))
            self._live[kind] = await _within(resource.start_timeout, resource.make(self))
        except Exception as error:
            failure = ResourceFailed(resource, error)
            if resource.required:
                raise failure from error
            self._failed[kind] = failure
            _log.warning("%s It is optional: going on without it.", failure)
        else:
            _log.debug("Resource %s is up after %.0f ms", resource.name, (perf_counter() - began) * 1000)
        ready[kind].set()

    async def _ping_one(self, kind: _Kind, timeout: float) -> Health:  # noqa: ASYNC109 -- passed on from ping()
        resource = self._resources[kind]
        bad: Literal["down", "degraded"] = "down" if resource.required else "degraded"
        if kind not in self._live:
            return Health(resource.name, bad, resource.required, self._why_absent(kind))
        if resource.ping is None:
            return Health(resource.name, "up", resource.required)
        began = perf_counter()
        ping = asyncio.ensure_future(_uncancelled(resource.ping(self._live[kind])))
        try:
            await asyncio.wait([ping], timeout=timeout)
        finally:
            if not ping.done():
                self._abandon(ping)
        took = (perf_counter() - began) * 1000
        if not ping.done():
            return Health(resource.name, bad, resource.required, f"no answer within {timeout:g} s", timeout * 1000)
        if (error := _failure(ping)) is not None:
            return Health(resource.name, bad, resource.required, _said(error), took)
        return Health(resource.name, "up", resource.required, milliseconds=took)

    def _abandon(self, ping: asyncio.Future[None]) -> None:
        """Give a ping up without waiting for that: over a dead connection a driver takes seconds to tidy up."""
        self._abandoned.add(ping)
        ping.add_done_callback(self._abandoned.discard)
        ping.add_done_callback(_failure)
        ping.cancel()


class _TooLate(TimeoutError):
    """Our own limit has passed; a TimeoutError of what was awaited is another matter, and may say more."""


async def _within[T](seconds: float, work: Awaitable[T]) -> T:
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            return await _uncancelled(work)
    except TimeoutError as error:
        if limit.expired():
            raise _TooLate from error
        raise


def _failure(done: asyncio.Future[None]) -> BaseException | None:
    return asyncio.CancelledError() if done.cancelled() else done.exception()


async def _uncancelled[T](work: Awaitable[T]) -> T:
    # `close()` that cancels its task and awaits it ends in a CancelledError that nobody asked us for. Let through, it
    # would pass for the end of our own task: start() would report success, and close() would leave the rest open.
    task = asyncio.current_task()
    requests = task.cancelling() if task else 0
    try:
        return await work
    except asyncio.CancelledError as error:
        if task and task.cancelling() > requests:
            raise
        raise RuntimeError("something it waited for was cancelled") from error


def _circles(needs: dict[_Kind, set[_Kind]]) -> Iterator[list[_Kind]]:
    while True:
        try:
            TopologicalSorter(needs).prepare()
        except CycleError as error:
            circle = list(reversed(error.args[1]))
            yield circle
            # The sorter finds one at a time; without this link it finds the next.
            needs[circle[0]].remove(circle[1])
        else:
            return


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _first(group: BaseExceptionGroup[ResourceFailed]) -> BaseException:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
