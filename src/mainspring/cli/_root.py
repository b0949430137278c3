"""The `mainspring` command."""

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from mainspring import __version__

from . import _api, _audit_trail, _composition, _config, _db, _encryption, _server
from ._exits import clearly
from ._locate import use_app

app = typer.Typer(
    name="mainspring",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="The production chassis for FastAPI.",
    epilog="Exit codes: 0 done, 1 failed, 2 wrong usage, 78 the configuration is not sound.",
)
for commands in (_server, _composition, _api):
    commands.register(app)
app.add_typer(_audit_trail.app, name="audit-trail")
app.add_typer(_config.app, name="config")
app.add_typer(_db.app, name="db")
app.add_typer(_encryption.app, name="encryption")


def _version(value: bool) -> None:  # noqa: FBT001 -- Typer's callback signature
    if value:
        typer.echo(f"mainspring {__version__}")
        raise typer.Exit


@app.callback()
def root(
    location: Annotated[
        str | None,
        typer.Option(
            "--app",
            metavar="MODULE:FACTORY",
            envvar="MAINSPRING_APP",
            help="The service; otherwise [tool.mainspring] app in pyproject.toml.",
        ),
    ] = None,
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """The production chassis for FastAPI."""
    del version
    use_app(location)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line, by default with the process's arguments.

    Raises:
        SystemExit: Always; the code is 0 when the command did what it was asked.
    """
    given = sys.argv[1:] if arguments is None else [*arguments]
    clearly(lambda: app(args=given, prog_name="mainspring"))
