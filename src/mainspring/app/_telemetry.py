"""Traces and error reports of an application: whether there are any, from its settings, and over its lifetime."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from mainspring.observability import ErrorReports, Tracing
from mainspring.settings import Problem, Settings


@dataclass(frozen=True, slots=True)
class Telemetry:
    """What an application tells others about itself; None where no setting asks for it."""

    tracing: Tracing | None = None
    reports: ErrorReports | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Started before everything that may have something to tell, and stopped after it."""
        try:
            if self.reports is not None:
                self.reports.start()
            if self.tracing is not None:
                self.tracing.start()
            yield
        finally:
            # Beside each other, in threads: both wait for somebody else's server, each for a bounded time.
            stops = [part.stop for part in (self.tracing, self.reports) if part is not None]
            await asyncio.gather(*map(asyncio.to_thread, stops))


def telemetry_of(name: str, version: str, settings: Settings, problems: list[Problem]) -> Telemetry:
    """What the settings ask for; what is wrong with them is added to the problems."""
    tracing = reports = None
    if settings.otel_exporter_otlp_endpoint and not settings.otel_sdk_disabled:
        try:
            tracing = Tracing(
                settings.otel_exporter_otlp_endpoint,
                headers=settings.otel_exporter_otlp_headers.get_secret_value(),
                ratio=settings.otel_traces_sampler_arg,
                service=(name, version, settings.environment),
            )
        except (ValueError, ModuleNotFoundError) as error:
            problems.append(_problem(settings, "otel_exporter_otlp_endpoint", error))
    if dsn := settings.sentry_dsn.get_secret_value():
        try:
            reports = ErrorReports(dsn, release=f"{name}@{version}", environment=settings.environment)
        except (ValueError, ModuleNotFoundError) as error:
            problems.append(_problem(settings, "sentry_dsn", error))
    return Telemetry(tracing, reports)


def _problem(settings: Settings, field: str, error: Exception) -> Problem:
    origin = settings.origin(field)
    return Problem(origin.key, str(error), f"See the message, or unset {origin.key}.", origin.source)
