"""`openapi`: the API's description as a file."""

from pathlib import Path
from typing import Annotated

import typer

from ._exits import FAILED, fail
from ._locate import load_app
from ._output import say


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(openapi)


def openapi(
    *,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write here instead of printing.")
    ] = None,
    check: Annotated[Path | None, typer.Option(metavar="FILE", help="Compare with this file; write nothing.")] = None,
) -> None:
    """Write the OpenAPI document, also where the service does not serve it.

    With --check the exit code is 1 if the file differs.
    """
    import json

    text = json.dumps(load_app().openapi(), indent=2, ensure_ascii=False) + "\n"
    if check is not None:
        if not check.is_file():
            fail(f"There is no file {check}. Write it with `mainspring openapi -o {check}`.")
        if check.read_bytes() != text.encode():
            fail(f"{check} is out of date. Write it again with `mainspring openapi -o {check}`.", FAILED)
        say(f"{check} is up to date.")
    elif output is not None:
        try:
            output.write_text(text, encoding="utf-8", newline="\n")
        except OSError as error:
            fail(f"Cannot write {output}: {error.strerror}.")
        say(f"Wrote {output}.")
    else:
        typer.echo(text, nl=False)
