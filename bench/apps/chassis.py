"""The same routes on Mainspring, every stage of the pipeline on, access lines into a file."""

from pathlib import Path

from fastapi import FastAPI

from bench.apps.routes import router
from mainspring.app import create_app
from mainspring.kernel import Module
from mainspring.observability import configure_logging
from mainspring.settings import Settings

ORIGIN = "https://app.example.com"


def build() -> FastAPI:
    configure_logging(form="json", stream=Path("access.log").open("a", encoding="utf-8"))
    settings = Settings(
        api_prefix="",
        allowed_hosts=("127.0.0.1",),
        allowed_origins=(ORIGIN,),
        trusted_proxies=("127.0.0.1",),
        enable_docs=False,
    )
    return create_app("bench", settings=settings, modules=[Module(name="bench", routers=(router,))])
