"""`routes`, `explain`, `status`, `version`: what the service is made of and how it is."""

from typing import TYPE_CHECKING, Annotated

import typer

from ._exits import FAILED, fail
from ._locate import load_app
from ._output import Json, as_json, say, table

if TYPE_CHECKING:
    from mainspring.app import Application, Composition
    from mainspring.kernel import Health

_PACKAGES = ("mainspring", "fastapi", "starlette", "pydantic", "sqlalchemy", "uvicorn")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (routes, explain, status, version):
        app.command()(command)


def routes(*, json: Json = False) -> None:
    """List every route with its guards."""
    from mainspring.app import composition_of

    found = composition_of(load_app()).routes
    if json:
        as_json(found)
        return
    rows = [(" ".join(r.methods), r.path, r.guards or "-", f"{r.module}.{r.name}") for r in found]
    table(("methods", "path", "guards", "handler"), rows)


def explain(*, json: Json = False) -> None:
    """Say what was composed, and why."""
    from mainspring.app import composition_of

    app = load_app()
    found = composition_of(app)
    waived = app.settings.allow_in_production
    workers, why = app.settings.server_processes
    if json:
        as_json(_explained(found) | {"workers": workers, "workers_because": why, "allow_in_production": waived})
        return
    say(f"{found.name} ({found.environment})\n")
    table(("module", "what it is"), found.modules, title="Modules")
    backends = [(r.name, r.backend, r.chosen_by, r.source, r.required) for r in found.resources]
    table(("resource", "backend", "chosen by", "from", "required"), backends, title="Resources")
    stages = [(stage.name, stage.purpose, stage.cost) for stage in found.stages]
    table(("stage", "what it does", "cost"), stages, title="Pipeline, in order of a request")
    guarded = sum(bool(route.guards) for route in found.routes)
    say(f"{len(found.routes)} routes, {guarded} of them guarded; `mainspring routes` lists them.")
    say(f"`mainspring serve` runs {workers} process{'es' if workers > 1 else ''} ({why}).")
    say(f"Waived on purpose (ALLOW_IN_PRODUCTION): {', '.join(waived) or 'nothing'}.")


def status(
    *,
    url: Annotated[
        str | None, typer.Option(metavar="URL", help="Ask a running service instead, e.g. http://127.0.0.1:8000.")
    ] = None,
    json: Json = False,
) -> None:
    """Ask every resource how it is.

    Exit code 1 when a required one does not answer.
    """
    if url:
        _ask_running(url, json=json)
        return
    import asyncio

    app = load_app()
    health, pending = asyncio.run(_ask_resources(app))
    if json:
        as_json({"resources": health, "pending_migrations": pending})
    else:
        rows = [(h.name, h.state, h.milliseconds, h.required, h.detail) for h in health]
        table(("resource", "state", "ms", "required", "detail"), rows)
        say(_pending(pending))
    if any(h.state == "down" for h in health):
        raise typer.Exit(FAILED)


def version(*, json: Json = False) -> None:
    """Print the versions of what matters."""
    import platform
    from importlib.metadata import version as installed

    found = {"python": platform.python_version()} | {name: installed(name) for name in _PACKAGES}
    if json:
        as_json(found)
        return
    for name, number in found.items():
        say(f"{name} {number}")


def _explained(found: "Composition") -> dict[str, object]:
    return {
        "name": found.name,
        "environment": found.environment,
        "modules": [{"name": name, "summary": summary} for name, summary in found.modules],
        "resources": found.resources,
        "stages": found.stages,
        "routes": len(found.routes),
        "guarded_routes": sum(bool(route.guards) for route in found.routes),
    }


async def _ask_resources(app: "Application") -> "tuple[list[Health], list[str] | None]":
    from mainspring.data import Migrator
    from mainspring.kernel import Health, ResourceFailed

    pingable = {resource.name for resource in app.registry.resources if resource.ping is not None}
    try:
        await app.registry.start()
    except ResourceFailed as failure:
        # What did come up was closed again, so nothing can be said about the others.
        return [Health(failure.resource.name, "down", required=True, detail=str(failure))], None
    try:
        health = [h for h in await app.registry.ping() if h.name in pingable or h.state != "up"]
        pending = await Migrator.configured(app.settings, app.modules).pending()
    finally:
        await app.registry.close()
    return health, [revision.id for revision in pending]


def _pending(revisions: list[str] | None) -> str:
    if revisions is None:
        return "Pending migrations: not known."
    return f"Pending migrations: {len(revisions)}{f' ({", ".join(revisions)})' if revisions else ''}."


def _ask_running(url: str, *, json: bool) -> None:
    import httpx2

    asked = f"{url.rstrip('/')}/health/ready"
    try:
        answer = httpx2.get(asked, timeout=5)
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        fail(f"{asked} does not answer: {str(error).rstrip('.') or type(error).__name__}.")
    try:
        body = answer.json()
        checks: dict[str, str] = body["checks"]
        rows = list(checks.items())
    except (ValueError, KeyError, TypeError, AttributeError):
        fail(f"{asked} does not answer like a Mainspring service (status {answer.status_code}). Is the URL right?")
    if json:
        as_json(body)
    else:
        table(("resource", "state"), rows, title=f"{url}: {body['status']}")
    if answer.status_code != 200:
        raise typer.Exit(FAILED)
