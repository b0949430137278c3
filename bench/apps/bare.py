"""FastAPI and nothing else."""

from fastapi import FastAPI

from bench.apps.routes import router


def build() -> FastAPI:
    app = FastAPI()
    app.include_router(router)
    return app
