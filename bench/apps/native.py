"""FastAPI's own tracing, exported as its documentation shows (`FASTAPI_OTEL_AUTO_CONFIGURE=true`)."""

from fastapi import FastAPI

from bench.apps.routes import router


def build() -> FastAPI:
    app = FastAPI(telemetry={"metrics": False, "logs": False})
    app.include_router(router)
    return app
