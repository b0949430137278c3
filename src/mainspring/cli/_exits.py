"""How commands end: with a sentence and an exit code that means something, never with a traceback."""

import sys
from collections.abc import Callable
from typing import NoReturn

import typer

from ._output import complain

FAILED = 1
USAGE = 2
CONFIG = 78  # EX_CONFIG of sysexits.h
INTERRUPTED = 130


def fail(message: str, code: int = FAILED) -> NoReturn:
    """End the command with a message on standard error.

    Raises:
        typer.Exit: Always.
    """
    typer.echo(message, err=True)
    raise typer.Exit(code)


def clearly[T](work: Callable[[], T]) -> T:
    """Do the work; what it may meet becomes a message and an exit code. A defect stays a traceback: it is for us.

    Raises:
        SystemExit: The work ended with a message.
    """
    try:
        return work()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except typer.Exit as end:
        sys.exit(end.exit_code)
    except Exception as error:
        code = _known(error)
        if code is None:
            raise
        complain(error)
        sys.exit(code)


def _known(error: Exception) -> int | None:
    # By name, not by class: importing the classes would cost `--help` the libraries they come with.
    kinds = {f"{cls.__module__.partition('._')[0]}.{cls.__name__}" for cls in type(error).__mro__}
    if "mainspring.settings.BootError" in kinds:
        return CONFIG
    if kinds & {
        "mainspring.kernel.ResourceFailed",
        "mainspring.errors.MainspringError",
        "alembic.util.exc.CommandError",
    }:
        return FAILED
    return None
