"""Makes the application from its parts."""

import re
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from enum import Enum
from functools import partial
from typing import Any, override

from fastapi import FastAPI
from fastapi.routing import APIRoute
from fastapi.utils import generate_unique_id
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.middleware.gzip import DEFAULT_EXCLUDED_CONTENT_TYPES, GZipMiddleware
from starlette.types import ASGIApp

from mainspring.data import (
    Database,
    IdempotencyGate,
    Migrator,
    ReadYourWrites,
    RepeatedQueries,
    Replay,
    RetryGate,
    database_resource,
    replayed,
)
from mainspring.errors import catalogue
from mainspring.http import (
    AccessLog,
    BodyLimit,
    Cors,
    Drain,
    ErrorReporting,
    ErrorSeam,
    Metrics,
    Pipeline,
    RequestId,
    RouteIndex,
    SecurityHeaders,
    Stage,
    TraceContext,
    TracingStage,
    TrustedHosts,
    TrustedProxies,
    describe_api,
)
from mainspring.kernel import Clock, Module, Registry, RegistryError, Resource, SystemClock
from mainspring.observability import buffer_logs, get_logger, prometheus_installed
from mainspring.settings import BootError, Problem, Settings

from ._docs import docs_router
from ._housekeeping import Housekeeping
from ._operations import operations_router
from ._reference import reference_router
from ._telemetry import Telemetry, telemetry_of

_log = get_logger(__name__)

# Below that a body fits into one packet anyway.
_WORTH_COMPRESSING = 1000
# zlib's own default; 9, Starlette's, takes several times as long for a few per cent.
_COMPRESSION = 6
# What is sent line by line would wait for the compressor.
_NOT_COMPRESSED = (*DEFAULT_EXCLUDED_CONTENT_TYPES, "application/jsonl", "application/x-ndjson")


class Application(FastAPI):
    """A FastAPI application with Mainspring's pipeline as its outermost layer.

    It adds no method and changes none that a user calls: routers, middlewares, mounts, `dependency_overrides` and
    everything else work as FastAPI documents them.

    Attributes:
        name: What the service is called in logs and in the database's list of connections.
        settings: What it was built with.
        registry: Its infrastructure.
        modules: Its features.
        stages: The pipeline, in the order of a request.
        housekeeping: What it does for its operators while it runs.
        telemetry: Where its traces and its defects go.
        drain: What ends the requests in flight when the service stops.
    """

    name: str
    settings: Settings
    registry: Registry
    modules: tuple[Module, ...]
    stages: tuple[Stage, ...]
    telemetry: Telemetry
    drain: Drain
    seam: ErrorSeam
    housekeeping: Housekeeping

    @override
    def build_middleware_stack(self) -> ASGIApp:
        """FastAPI's stack, the user's middlewares included, inside the pipeline.

        Outside of it even a middleware added later would escape the request id, the access line and the error seam.
        """
        # The router's own door: what is mounted, overridden or added later still goes through FastAPI's code.
        index: Any = RouteIndex(self.router, self.router.app)  # Starlette asks for a coroutine where it only awaits
        self.router.middleware_stack = index
        stack = super().build_middleware_stack()
        if isinstance(stack, ServerErrorMiddleware) and not self.debug:
            # It answers defects, which is what the pipeline does.
            stack = stack.app
            if self.max_body_size is not None:
                stack = BodyLimit(stack)
        stack = RetryGate(IdempotencyGate(stack, render=self.seam.render))
        if self.settings.compresses_responses:
            stack = GZipMiddleware(stack, _WORTH_COMPRESSING, _COMPRESSION, exclude_content_types=_NOT_COMPRESSED)
        pipeline = Pipeline(
            stack, stages=self.stages, render=self.seam.render, timeout=self.settings.request_timeout or None
        )
        self.drain.watch(pipeline)
        return pipeline


def create_app(
    name: str,
    *,
    settings: Settings,
    modules: Sequence[Module] = (),
    resources: Iterable[Resource[Any]] = (),
    clock: Clock | None = None,
    version: str = "0.1.0",
    description: str = "",
) -> Application:
    """Compose a service.

    Args:
        name: Lower-case, as in logs and `application_name`.
        settings: Read once, by the caller: `Settings()`.
        modules: The features.
        resources: Infrastructure beside the database and what modules bring. One that provides the same type as one
            of those takes its place: a `Database` or a `Mailer`, in tests.
        clock: The time; tests hand in a `FrozenClock`.
        version: Of the service, for the API description.
        description: Of the service, for the API description.

    Raises:
        BootError: The parts do not fit together; one report lists every misfit.
    """
    time = clock or SystemClock()
    problems = list(_misfits(settings, modules))
    brought = [resource for module in modules for resource in module.resources]
    registry = _registry([*_own_resources(name, settings, time, problems), *brought], list(resources), problems)
    telemetry = telemetry_of(name, version, settings, problems)
    if problems:
        raise BootError(problems)
    docs = settings.docs_enabled
    operation_ids = _OperationIds()
    app = Application(
        title=name,
        version=version,
        description=description,
        debug=settings.debug,
        openapi_url="/openapi.json" if docs else None,
        docs_url=None,
        redoc_url=None,
        # Ours is the pipeline's (ADR 11); with nothing set up FastAPI's gate alone, asked on each request, costs 4 µs.
        telemetry={"tracing": False, "metrics": False, "logs": False},
        generate_unique_id_function=operation_ids,
        lifespan=_lifespan,
    )
    # Here and not above, where FastAPI would hand it down and check it again on every level of routers; a route's own
    # limit still takes the place of this one.
    app.max_body_size = settings.max_body_bytes
    app.name, app.settings, app.registry, app.modules = name, settings, registry, tuple(modules)
    app.seam = ErrorSeam(settings.error_format, clock=time)
    app.telemetry = telemetry
    app.drain = Drain()
    app.stages = (*_stages(settings, telemetry), app.drain)
    sticky = next((stage for stage in app.stages if isinstance(stage, ReadYourWrites)), None)
    app.state.read_your_writes = sticky
    app.state.registry = registry
    app.state.settings = settings
    app.state.clock = time
    metrics = next((stage for stage in app.stages if isinstance(stage, Metrics)), None)
    app.housekeeping = Housekeeping(app, metrics)
    app.seam.install(app)
    app.add_exception_handler(Replay, replayed)
    _mount(app, operation_ids)
    describe_api(app, settings.error_format, api_prefix=settings.api_prefix)
    return app


def _misfits(settings: Settings, modules: Sequence[Module]) -> Iterable[Problem]:
    seen: set[str] = set()
    for module in modules:
        if module.name in seen:
            yield Problem(f"module {module.name}", "Two modules have this name.", "Rename one, or list it once.")
        seen.add(module.name)
        if module.settings is not None and not isinstance(settings, module.settings):
            section = module.settings.__name__
            yield Problem(
                f"module {module.name}",
                f"It needs the settings of {section}, which {type(settings).__name__} does not have.",
                f"Declare the service's settings as `class Settings({section}, …)`.",
            )
    wanted = settings.metrics_enabled or settings.metrics_port is not None
    if wanted and not prometheus_installed():
        origin = settings.origin("metrics_enabled" if settings.metrics_enabled else "metrics_port")
        yield Problem(
            origin.key,
            "Metrics are written out by prometheus-client, which is not installed.",
            "Run `pip install prometheus-client`, or unset it.",
            origin.source,
        )
    try:
        catalogue(error for module in modules for error in module.errors)
    except ValueError as error:
        for line in str(error).splitlines():
            yield Problem("errors", line, "Error codes are what clients branch on; make them unique.")


def _registry(usual: Sequence[Resource[Any]], given: Sequence[Resource[Any]], problems: list[Problem]) -> Registry:
    replaced = {resource.provides for resource in given}
    try:
        return Registry([*(resource for resource in usual if resource.provides not in replaced), *given])
    except RegistryError as error:
        problems += [Problem("resources", line, "See the message.") for line in str(error).splitlines()]
        return Registry()


def _own_resources(name: str, settings: Settings, clock: Clock, problems: list[Problem]) -> list[Resource[Any]]:
    own: list[Resource[Any]] = [_ready_made(Settings, settings), _ready_made(Clock, clock)]
    try:
        own.append(database_resource(settings, application_name=name))
    except (ValueError, ModuleNotFoundError) as error:
        origin = settings.origin("database_url")
        problems.append(Problem(origin.key, str(error), "See the message.", origin.source))
        # So that what needs a database is not reported as well.
        own.append(_ready_made(Database, None))
    return own


def _ready_made(kind: type[Any], value: object) -> Resource[Any]:
    async def make(_: Registry) -> object:
        return value

    return Resource(provides=kind, name=kind.__name__.lower(), make=make)


def _stages(settings: Settings, telemetry: Telemetry) -> Iterable[Stage]:
    yield AccessLog()
    if settings.metrics_enabled or (settings.metrics_enabled is None and prometheus_installed()):
        yield Metrics()
    if settings.trusted_proxies:
        yield TrustedProxies(settings.trusted_proxies, header=settings.forwarding_header)
    yield RequestId()
    yield TracingStage(telemetry.tracing) if telemetry.tracing else TraceContext()
    if telemetry.reports:
        yield ErrorReporting(telemetry.reports)
    if settings.environment == "development":
        yield RepeatedQueries()
    yield SecurityHeaders(strict_transport=settings.is_production)
    if settings.allowed_origins:
        yield Cors(settings.allowed_origins, credentials=settings.cors_credentials)
    if "*" not in settings.allowed_hosts:
        yield TrustedHosts(settings.allowed_hosts)
    if settings.database_replica_url:
        yield ReadYourWrites(settings.database_sticky_seconds, secure=settings.is_production)


@asynccontextmanager
async def _lifespan(app: Application) -> AsyncIterator[None]:
    buffer_logs(buffer=True)
    try:
        async with app.telemetry.running():
            await app.registry.start()
            try:
                await _bring_schema_up(app)
                await app.housekeeping.start()
                yield
            finally:
                await app.housekeeping.stop()
                await app.registry.close()
    finally:
        # The server may be ended by a signal after this, and then nothing runs at exit.
        buffer_logs(buffer=False)


async def _bring_schema_up(app: Application) -> None:
    migrator = Migrator.configured(app.settings, app.modules)
    pending = await migrator.pending()
    if not pending:
        return
    if not app.settings.migrates_on_start:
        names = ", ".join(f"{revision.id} ({revision.message})" for revision in pending)
        raise BootError(
            [
                Problem(
                    "migrations",
                    f"The database lacks {len(pending)}: {names}.",
                    "Run `mainspring db upgrade` before starting this version, or set MIGRATE_ON_START=true.",
                )
            ]
        )
    for revision in await migrator.upgrade():
        _log.info("Migration applied", revision=revision.id, what=revision.message)


def _mount(app: Application, operation_ids: "_OperationIds") -> None:
    """Put the routes in the order in which they are looked for: what is asked for most comes first, and pages last,
    because one that answers to any path would hide what comes after it.
    """
    for module in app.modules:
        name_operation = partial(operation_ids, module=module.name)
        for router in module.routers:
            app.include_router(router, prefix=app.settings.api_prefix, generate_unique_id_function=name_operation)
    app.include_router(reference_router(app))
    app.include_router(operations_router(app.settings, app.housekeeping))
    if app.settings.docs_enabled:
        app.include_router(docs_router(app.title))
    for module in app.modules:
        for page in module.pages:
            app.include_router(page, include_in_schema=False)


class _OperationIds:
    """Names operations for generated clients: `agents_create_agent`, where FastAPI's default spells the path.

    The first tag tells handlers of one name apart, or the module where a route has no tag. A route for which that name
    is taken gets FastAPI's.
    """

    def __init__(self) -> None:
        self._owners: dict[str, tuple[str, ...]] = {}

    def __call__(self, route: APIRoute, module: str = "") -> str:
        tag = route.tags[0] if route.tags else module
        group = re.sub(r"\W+", "_", str(tag.value if isinstance(tag, Enum) else tag)).lower()
        named_for_it = not group or route.name == group or route.name.startswith(f"{group}_")
        name = route.name if named_for_it else f"{group}_{route.name}"
        this = (route.path, *sorted(route.methods or ()))
        return name if self._owners.setdefault(name, this) == this else generate_unique_id(route)
