"""What people mount around FastAPI, as the guides show it."""

import logging
import time
import uuid
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.middleware.cors import CORSMiddleware
from fastapi.middleware.gzip import GZipMiddleware
from prometheus_fastapi_instrumentator import Instrumentator
from slowapi import Limiter
from slowapi.middleware import SlowAPIMiddleware
from slowapi.util import get_remote_address
from starlette.middleware.base import BaseHTTPMiddleware  # noqa: TID251 -- it is what is measured

from bench.apps.routes import router


class RequestIdAndLog(BaseHTTPMiddleware):
    async def dispatch(self, request: Request, call_next):
        request_id = request.headers.get("x-request-id") or str(uuid.uuid4())
        began = time.perf_counter()
        response = await call_next(request)
        response.headers["x-request-id"] = request_id
        took = time.perf_counter() - began
        logging.getLogger("access").info(
            '{"method": "%s", "path": "%s", "status": %d, "seconds": %f, "request_id": "%s"}',
            request.method,
            request.url.path,
            response.status_code,
            took,
            request_id,
        )
        return response


class SecurityHeaders(BaseHTTPMiddleware):
    async def dispatch(self, request: Request, call_next):
        response = await call_next(request)
        response.headers["x-content-type-options"] = "nosniff"
        response.headers["x-frame-options"] = "DENY"
        response.headers["referrer-policy"] = "strict-origin-when-cross-origin"
        return response


def build() -> FastAPI:
    logging.basicConfig(level="INFO", handlers=[logging.FileHandler(Path("access.log"))], format="%(message)s")
    app = FastAPI()
    app.state.limiter = Limiter(key_func=get_remote_address, default_limits=["1000000/minute"])
    app.add_middleware(SlowAPIMiddleware)
    app.add_middleware(RequestIdAndLog)
    app.add_middleware(SecurityHeaders)
    app.add_middleware(CORSMiddleware, allow_origins=["https://app.example.com"])
    app.add_middleware(GZipMiddleware, minimum_size=1000)
    app.include_router(router)
    Instrumentator().instrument(app).expose(app)
    return app
