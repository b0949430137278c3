"""`dev` and `serve`: run the service."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ._locate import app_location, load_app, load_app_with, load_settings_class
from ._output import say

if TYPE_CHECKING:
    from mainspring.app import Application

Host = Annotated[
    str | None,
    typer.Option(metavar="ADDRESS", help="Where to listen; the settings decide otherwise (MAINSPRING_HOST)."),
]
Port = Annotated[
    int | None,
    typer.Option(min=0, max=65535, metavar="NUMBER", help="0 picks a free one; the settings decide otherwise (PORT)."),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(dev)
    app.command()(serve)


def dev(
    *,
    host: Host = None,
    port: Port = None,
    reload: Annotated[bool, typer.Option("--reload/--no-reload", help="Start again when a source changes.")] = True,
) -> None:
    """Run the service for development.

    Ctrl-C ends it with exit code 0 (130 before it is loaded). A configuration that is not sound, or a database that
    lacks migrations, ends it with 78; a taken port, or a resource that does not come up, with 1.
    """
    _develop_by_default()
    app = load_app()
    from ._banner import banner
    from ._listening import bind
    from ._serving import DEVELOPMENT, serve_here
    from ._supervising import serve_reloading
    from ._worker import set_up_logging

    listener = bind(host or app.settings.host, app.settings.port if port is None else port)
    if reload:
        serve_reloading(app_location(), listener, folders=tuple(map(str, _source_folders(app))))
    else:
        set_up_logging(app)
        serve_here(app, listener, on_ready=lambda: say(banner(app, listener)), drainage=DEVELOPMENT)


def serve(
    *,
    host: Host = None,
    port: Port = None,
    workers: Annotated[
        int | None, typer.Option(min=1, metavar="NUMBER", help="Server processes; the settings decide otherwise.")
    ] = None,
) -> None:
    """Run the service for production, behind a proxy that ends TLS.

    SIGTERM and SIGINT drain it and end it with exit code 0: readiness turns 503, requests are served for
    DRAIN_GRACE_SECONDS more, those in flight get DRAIN_TIMEOUT_SECONDS; the second signal ends it at once. With several
    workers, SIGHUP replaces them one after the other, with the code and the settings of that moment.

    A configuration that is not sound, or a database that lacks migrations, ends it with 78; a taken port, or a resource
    that does not come up, with 1.
    """
    app = load_app() if workers is None else load_app_with("workers", str(workers))
    from mainspring.observability import get_logger

    from ._banner import url_of
    from ._listening import bind
    from ._reaping import reap_in_background
    from ._serving import serve_here
    from ._supervising import serve_workers
    from ._worker import set_up_logging

    set_up_logging(app)
    settings = app.settings
    listener = bind(host or settings.host, settings.port if port is None else port)
    log = get_logger(__name__)
    count, why = settings.server_processes
    if count > 1 or settings.worker_max_requests or settings.worker_max_lifetime:
        log.info("Starting workers", url=url_of(listener), workers=count, why=why)
        code = serve_workers(app, app_location(), listener, workers=count)
        if code:
            raise typer.Exit(code)
        return
    _keep_on_hangup()
    if os.getpid() == 1:
        reap_in_background()
    serve_here(app, listener, on_ready=lambda: log.info("Ready", url=url_of(listener), workers=1, why=why))


def _keep_on_hangup() -> None:
    """One process cannot replace itself; SIGHUP, sent out of habit, must not end it without a drain."""
    import signal

    from mainspring.observability import get_logger

    def tell(*_: object) -> None:
        get_logger(__name__).warning("SIGHUP replaces workers, and this service has one process; start it anew instead")

    signal.signal(signal.SIGHUP, tell)


def _develop_by_default() -> None:
    # Only where nothing says otherwise: the variable would win over a service's own `.env`.
    from mainspring.settings import inspect_settings

    lines = inspect_settings(load_settings_class()).lines
    if any(line.name == "environment" and line.origin.source == "default" for line in lines):
        os.environ["ENVIRONMENT"] = "development"


def _source_folders(app: "Application") -> list[Path]:
    """The folders of the packages that the service's code stands in; what is installed does not change."""
    from mainspring.app import composition_of

    modules = [app_location().partition(":")[0], *(route.module for route in composition_of(app).routes)]
    packages = dict.fromkeys(module.partition(".")[0] for module in modules)
    return [folder for package in packages for folder in _folders(package)] or [Path.cwd()]


def _folders(package: str) -> Iterator[Path]:
    import sysconfig
    from importlib.util import find_spec

    installed = {Path(sysconfig.get_path(name)) for name in ("purelib", "platlib", "stdlib")}
    spec = find_spec(package)
    if spec is None:
        return
    single = [str(Path(spec.origin).parent)] if spec.origin else []
    for place in spec.submodule_search_locations or single:
        if installed.isdisjoint(Path(place, "_").parents):
            yield Path(place)
