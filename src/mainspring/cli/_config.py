"""`config`: the settings, where each came from, and whether production would take them."""

from typing import Annotated

import typer

from ._exits import CONFIG
from ._locate import load_app, load_app_with, load_settings_class
from ._output import Json, as_json, complain, say, table

app = typer.Typer(no_args_is_help=True, help="Show and check the settings.", rich_markup_mode=None)

_SECRET_BYTES = 48


@app.command()
def show(*, json: Json = False) -> None:
    """Print every setting with its value (secrets masked) and where it came from.

    Works also when settings are broken: the problems then stand underneath, and the exit code is 78.
    """
    from mainspring.settings import BootError, inspect_settings

    report = inspect_settings(load_settings_class())
    if json:
        settings = [
            {"key": line.origin.key, "value": line.value, "source": line.origin.source} for line in report.lines
        ]
        as_json({"settings": settings, "problems": report.problems})
    else:
        rows = [(line.origin.key, line.value, line.origin.source) for line in report.lines]
        table(("setting", "value", "source"), rows)
    if report.problems:
        if not json:
            complain(BootError(report.problems))
        raise typer.Exit(CONFIG)


@app.command()
def check(
    *,
    environment: Annotated[
        str | None, typer.Option(metavar="NAME", help="Check as if in this environment, e.g. production.")
    ] = None,
) -> None:
    """Report every problem of the settings and of the composition.

    Exit code 0 when all is sound, 78 when there is a problem.
    """
    service = load_app_with("environment", environment) if environment else load_app()
    say(f"All settings are sound (ENVIRONMENT={service.settings.environment}).")


@app.command()
def secret() -> None:
    """Print a random value for SECRET_KEY."""
    import secrets

    say(secrets.token_urlsafe(_SECRET_BYTES))


@app.command()
def example() -> None:
    """Print a `.env.example`: every setting with its meaning and its default, commented out."""
    from mainspring.settings import describe_settings

    for line in describe_settings(load_settings_class()):
        say(f"# {line.meaning}" if line.meaning else "#")
        say(f"{'' if line.required else '# '}{line.key}={line.default}")
        say()
