"""The routes for operators: metrics, and log levels at run time.

They are no part of the API description: a client generated from it has no use for them, and what tries out every
documented operation should not switch off a service's log.
"""

import ipaddress
import secrets
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from mainspring.errors import InvalidToken, NotAuthenticated, NotFound
from mainspring.http import METRICS_PATH, exchange_of
from mainspring.observability import Exposition, Level, LogLevels
from mainspring.settings import Settings

from ._housekeeping import Housekeeping

_FORWARDED = frozenset({"forwarded", "x-forwarded-for", "x-real-ip"})
_BEARER = HTTPBearer(scheme_name="OperationsToken", auto_error=False)


class LevelChange(BaseModel):
    """A log level for a while."""

    level: Level
    logger: str = Field(default="", max_length=200, pattern=r"^[\w.-]*$")
    """Its name, such as `sqlalchemy.engine`; empty for all that have no level of their own."""
    minutes: float = Field(default=10, gt=0, le=24 * 60)
    """Then it falls back by itself: a level that is forgotten fills disks."""


class LevelOverride(BaseModel):
    """A level in force instead of the configured one; `until` is null where nothing but a signal ends it."""

    logger: str
    level: str
    until: datetime | None


class Levels(BaseModel):
    """The configured level and what holds instead."""

    configured: str
    overrides: list[LevelOverride]


def operations_router(settings: Settings, housekeeping: Housekeeping) -> APIRouter:
    """The routes, guarded; none in production without a token."""
    token = _token_of(settings)
    router = APIRouter(
        include_in_schema=False, dependencies=[Depends(_guard(token, behind_proxy=bool(settings.trusted_proxies)))]
    )
    if settings.is_production and not token:
        return router
    if housekeeping.exposition is not None:
        router.add_api_route(METRICS_PATH, _scrape(housekeeping.exposition), methods=["GET"], name="metrics")
    _add_levels(router, settings, housekeeping.levels)
    return router


def whereabouts(settings: Settings) -> str:
    """Where metrics are to be had, for `mainspring explain`."""
    places = []
    if _token_of(settings):
        places.append(f"{METRICS_PATH} with the operations token")
    elif not settings.is_production:
        places.append(f"{METRICS_PATH} from this machine only")
    if settings.metrics_port is not None:
        places.append(f"port {settings.metrics_port} of {settings.metrics_host}")
    return " and ".join(places) or "served nowhere: set OPERATIONS_TOKEN or METRICS_PORT"


def _token_of(settings: Settings) -> str:
    return settings.operations_token.get_secret_value() if settings.operations_token else ""


def _guard(token: str, *, behind_proxy: bool) -> Callable[..., None]:
    expected = token.encode()

    def operator(request: Request, given: Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)]) -> None:
        if not expected:
            # A proxy on this machine that nobody has named would make strangers look like us.
            forwarded = not behind_proxy and not _FORWARDED.isdisjoint(request.headers)
            if forwarded or not _is_from_here(request):
                raise NotFound
        elif given is None:
            raise NotAuthenticated("Send the operations token as `Authorization: Bearer …`.")
        elif not secrets.compare_digest(given.credentials.encode(), expected):
            raise InvalidToken("That is not the operations token.")

    return operator


def _is_from_here(request: Request) -> bool:
    exchange = exchange_of(request.scope)
    try:
        # No address at all is a Unix socket, which mostly has a proxy behind it, and strangers behind that.
        return exchange is not None and ipaddress.ip_address(exchange.client or "").is_loopback
    except ValueError:
        return False


def _scrape(exposition: "Exposition") -> Callable[[Request], Awaitable[Response]]:
    async def metrics(request: Request) -> Response:
        # Thousands of series take tens of milliseconds to write out.
        content, content_type = await run_in_threadpool(exposition.render, request.headers.get("accept", ""))
        return Response(content, headers={"content-type": content_type, "cache-control": "no-store"})

    return metrics


def _add_levels(router: APIRouter, settings: Settings, levels: LogLevels) -> None:
    def shown() -> Levels:
        overrides = [
            LevelOverride(
                logger=o.logger, level=o.level, until=datetime.fromtimestamp(o.until, UTC) if o.until else None
            )
            for o in levels.overrides
        ]
        return Levels(configured=settings.log_level, overrides=overrides)

    @router.get("/operations/log-level")
    async def show_log_level() -> Levels:
        return shown()

    @router.put("/operations/log-level")
    async def change_log_level(change: LevelChange) -> Levels:
        levels.set(change.level, logger=change.logger, minutes=change.minutes)
        return shown()
