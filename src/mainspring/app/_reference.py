"""What every service answers beside its own features: health, the error catalogue, the API's documentation."""

import asyncio
import time
from typing import TYPE_CHECKING, Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel

from mainspring.errors import CatalogueEntry, catalogue

if TYPE_CHECKING:
    from ._create import Application

# Probes come in bursts, from several sources; the answer of a second ago is good enough for all of them.
_READINESS_SECONDS = 1.0


class Alive(BaseModel):
    """The process runs and its event loop turns."""

    status: Literal["alive"] = "alive"


class Started(BaseModel):
    """Everything that the service needs has come up; it answers only then."""

    status: Literal["started"] = "started"


class Healthy(BaseModel):
    """What the service is."""

    status: Literal["healthy"] = "healthy"
    version: str
    environment: str


class Readiness(BaseModel):
    """Whether the service can do its work, and which part keeps it from doing so; no internals, anybody may ask."""

    status: Literal["ready", "degraded", "not_ready", "draining"]
    checks: dict[str, Literal["up", "down", "degraded"]]


class _ReadinessCheck:
    """Pings the resources at most once a second."""

    def __init__(self, app: "Application") -> None:
        self._app = app
        # What cannot be asked (a hasher, a signer) would only say that it exists.
        self._pingable = {resource.name for resource in app.registry.resources if resource.ping is not None}
        self._asked = float("-inf")
        self._asking = asyncio.Lock()
        self._answer = Readiness(status="not_ready", checks={})

    async def __call__(self) -> Readiness:
        if self._app.drain.ending:
            # At once, whatever was said a moment ago: this answer is what takes us off the list.
            return Readiness(status="draining", checks={})
        # Probes that come at the same moment wait for the first one's answer.
        async with self._asking:
            if time.monotonic() - self._asked >= _READINESS_SECONDS:
                self._answer = await self._ask()
                self._asked = time.monotonic()
        return self._answer

    async def _ask(self) -> Readiness:
        checks = {h.name: h for h in await self._app.registry.ping() if h.name in self._pingable or h.state != "up"}
        states = {health.state for health in checks.values()}
        status: Literal["ready", "degraded", "not_ready"] = (
            "not_ready" if "down" in states else "degraded" if "degraded" in states else "ready"
        )
        return Readiness(status=status, checks={name: health.state for name, health in checks.items()})


def reference_router(app: "Application") -> APIRouter:
    """The routes that come with every service."""
    router = APIRouter()
    readiness = _ReadinessCheck(app)

    @router.get("/health", tags=["health"])
    async def health() -> Healthy:
        """What runs here."""
        return Healthy(version=app.version, environment=app.settings.environment)

    @router.get("/health/live", tags=["health"])
    @router.get("/health/liveness", include_in_schema=False)
    async def live() -> Alive:
        """Whether to restart the process; touches nothing else."""
        return Alive()

    @router.get("/health/startup", tags=["health"])
    async def startup() -> Started:
        """Whether the service has started: it listens only once all that it needs is up. Never turns back."""
        return Started()

    @router.get("/health/readiness", include_in_schema=False)
    @router.get("/health/ready", tags=["health"], responses={503: {"model": Readiness, "description": "Not ready."}})
    async def ready(response: Response) -> Readiness:
        """Whether to send requests here: 503 while a required resource does not answer, and from SIGTERM on."""
        answer = await readiness()
        if answer.status in {"not_ready", "draining"}:
            response.status_code = 503
        return answer

    @router.get("/errors", tags=["reference"])
    async def errors() -> list[CatalogueEntry]:
        """Every error this service can answer with, by its stable code."""
        return list(catalogue(error for module in app.modules for error in module.errors))

    return router
