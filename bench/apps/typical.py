"""What people mount around FastAPI, as the guides show it: a class per concern, most of them on BaseHTTPMiddleware.

The features are those of the chassis beside it: correlation id, JSON access line in a file, metrics, rate limit, security
headers, trusted hosts, CORS, GZip. Log lines go through structlog and the standard library, which is what its own guide
calls the usual way.
"""

import logging
import time
import uuid
from pathlib import Path

import structlog
from fastapi import FastAPI, Request
from fastapi.middleware.cors import CORSMiddleware
from fastapi.middleware.gzip import GZipMiddleware
from fastapi.middleware.trustedhost import TrustedHostMiddleware
from prometheus_fastapi_instrumentator import Instrumentator
from slowapi import Limiter
from slowapi.middleware import SlowAPIMiddleware
from slowapi.util import get_remote_address
from starlette.middleware.base import BaseHTTPMiddleware  # noqa: TID251 -- it is what is measured

from bench.apps.routes import router


class CorrelationId(BaseHTTPMiddleware):
    async def dispatch(self, request: Request, call_next):
        request_id = request.headers.get("x-request-id") or str(uuid.uuid4())
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        response = await call_next(request)
        response.headers["x-request-id"] = request_id
        return response


class RequestLogging(BaseHTTPMiddleware):
    async def dispatch(self, request: Request, call_next):
        began = time.perf_counter()
        response = await call_next(request)
        structlog.get_logger("access").info(
            "request",
            method=request.method,
            path=request.url.path,
            status=response.status_code,
            seconds=time.perf_counter() - began,
        )
        return response


class SecurityHeaders(BaseHTTPMiddleware):
    async def dispatch(self, request: Request, call_next):
        response = await call_next(request)
        response.headers["x-content-type-options"] = "nosniff"
        response.headers["x-frame-options"] = "DENY"
        response.headers["referrer-policy"] = "strict-origin-when-cross-origin"
        return response


def configure_logging() -> None:
    logging.basicConfig(level="INFO", handlers=[logging.FileHandler(Path("access.log"))], format="%(message)s")
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def build() -> FastAPI:
    configure_logging()
    app = FastAPI()
    app.state.limiter = Limiter(key_func=get_remote_address, default_limits=["1000000/minute"])
    app.add_middleware(SlowAPIMiddleware)
    app.add_middleware(SecurityHeaders)
    app.add_middleware(RequestLogging)
    app.add_middleware(CorrelationId)
    app.add_middleware(CORSMiddleware, allow_origins=["https://app.example.com"])
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1"])
    app.add_middleware(GZipMiddleware, minimum_size=1000)
    app.include_router(router)
    Instrumentator().instrument(app).expose(app)
    return app
