"""What an application is made of, and why: for `mainspring explain` and `mainspring routes`."""

from collections.abc import Iterator
from dataclasses import dataclass

from fastapi.dependencies.models import Dependant
from fastapi.routing import iter_route_contexts
from fastapi.security.base import SecurityBase

from mainspring.http import Metrics

from ._create import Application
from ._operations import whereabouts


@dataclass(frozen=True, slots=True)
class ResourceLine:
    """One piece of infrastructure: what stands behind it, and which setting chose that."""

    name: str
    backend: str
    chosen_by: str
    source: str
    required: bool


@dataclass(frozen=True, slots=True)
class StageLine:
    """One step that every request takes; `cost` is the class of CPU time that it adds."""

    name: str
    purpose: str
    cost: str


@dataclass(frozen=True, slots=True)
class RouteLine:
    """One route.

    Attributes:
        methods: HTTP methods, or `WS`.
        path: The whole template, prefixes included.
        name: The handler's name.
        module: The Python module it stands in.
        guards: What must hold before the handler runs: security schemes and the dependencies that check somebody.
    """

    methods: tuple[str, ...]
    path: str
    name: str
    module: str
    guards: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Composition:
    """Everything that was composed."""

    name: str
    environment: str
    modules: tuple[tuple[str, str], ...]
    resources: tuple[ResourceLine, ...]
    stages: tuple[StageLine, ...]
    routes: tuple[RouteLine, ...]


def composition_of(app: Application) -> Composition:
    """Describe an application without starting it."""
    return Composition(
        name=app.name,
        environment=app.settings.environment,
        modules=tuple((module.name, module.summary) for module in app.modules),
        resources=tuple(_resources(app)),
        stages=tuple(_steps(app)),
        routes=tuple(sorted(_routes(app), key=lambda route: (route.path, route.methods))),
    )


def _steps(app: Application) -> Iterator[StageLine]:
    settings = app.settings
    for stage in app.stages:
        where = f"; {whereabouts(settings)}" if isinstance(stage, Metrics) else ""
        yield StageLine(stage.name, stage.purpose + where, stage.cost)
    if settings.request_timeout:
        limit = f"504 after {settings.request_timeout:g} s without a response; the work is cancelled, streams go on"
        yield StageLine("deadline", limit, "under 1 µs")
    yield StageLine("errors", f"every error in one form ({settings.error_format}), defects included", "under 1 µs")
    if settings.compresses_responses:
        yield StageLine("compression", "gzip for larger bodies, never for event streams", "over 5 µs")
    over = f"413 over {settings.max_body_bytes:,} bytes, or the route's own limit"
    yield StageLine("body-limit", over, "5 to 10 µs with a body")
    if settings.slow_loop_seconds:
        told = f"names the call that blocks the event loop for {settings.slow_loop_seconds:g} s, with its stack"
        yield StageLine("loop-watch", told, "nothing")
    yield StageLine("route-index", "the route by its literal segments, not one after the other", "saves over 5 µs")


def _resources(app: Application) -> Iterator[ResourceLine]:
    by_key = {app.settings.origin(name).key: name for name in type(app.settings).model_fields}
    for resource in app.registry.resources:
        if not resource.backend:
            continue
        setting = by_key.get(resource.chosen_by)
        source = app.settings.origin(setting).source if setting else ""
        yield ResourceLine(resource.name, resource.backend, resource.chosen_by, source, resource.required)


def _routes(app: Application) -> Iterator[RouteLine]:
    for route in iter_route_contexts(app.routes):
        endpoint = route.endpoint
        if route.path is None or endpoint is None:
            continue
        dependant = getattr(route, "dependant", None)
        guards = tuple(dict.fromkeys(_guards(dependant))) if isinstance(dependant, Dependant) else ()
        methods = tuple(sorted(route.methods)) if route.methods else ("WS",)
        # A handler may be any callable, an object or a partial too.
        name = getattr(endpoint, "__name__", type(endpoint).__name__)
        yield RouteLine(methods, route.path, name, endpoint.__module__, guards)


def _guards(dependant: Dependant) -> Iterator[str]:
    for inner in dependant.dependencies:
        call: object = inner.call
        if isinstance(call, SecurityBase):
            yield call.scheme_name
        elif _checks_somebody(inner):
            yield getattr(call, "__name__", type(call).__name__).strip("_")
        yield from _guards(inner)


def _checks_somebody(dependant: Dependant) -> bool:
    call: object = dependant.call
    return isinstance(call, SecurityBase) or any(map(_checks_somebody, dependant.dependencies))
