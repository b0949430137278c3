"""`encryption`: keys of encrypted columns."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated

import typer

from ._exits import USAGE, fail
from ._locate import load_app
from ._output import Json, as_json, say, table

if TYPE_CHECKING:
    from mainspring.data import Database
    from mainspring.security import Keyring

app = typer.Typer(no_args_is_help=True, help="Make and rotate the keys of encrypted columns.", rich_markup_mode=None)


@app.command()
def key(name: Annotated[str, typer.Argument(metavar="ID", help="Up to 8 of a-z, 0-9, _ and -, like 2026-11.")]) -> None:
    """Print a new key for ENCRYPTION_KEYS, as ID:BASE64."""
    from mainspring.security import Keyring, new_key

    made = new_key(name)
    try:
        Keyring.parsed(made)
    except ValueError as error:
        fail(str(error), USAGE)
    say(made)


@app.command()
def status(*, json: Json = False) -> None:
    """Say how many values of each column have which key. It reads every row."""
    from mainspring.data import Base
    from mainspring.security import key_use

    async def ask(database: "Database", keyring: "Keyring") -> None:
        uses = await key_use(database, keyring, Base.metadata)
        if json:
            as_json(uses)
        elif uses:
            rows = [(one.column, one.key or "(not encrypted)", str(one.values), _state(one.current)) for one in uses]
            table(("column", "key", "values", "state"), rows)
        else:
            say("No value is encrypted.")

    _connected(ask)


@app.command()
def rotate(*, batch: Annotated[int, typer.Option(min=1, max=10_000, help="Rows per transaction.")] = 200) -> None:
    """Encrypt every value anew that has not the first of ENCRYPTION_KEYS, while the service runs.

    Broken off, it is simply run again. Exit code 1 when values of other keys are left: some process still writes them.
    """
    from mainspring.data import Base
    from mainspring.security import EncryptionFailed, key_use, rotate_encrypted_columns

    async def walk(database: "Database", keyring: "Keyring") -> None:
        renewed = 0
        try:
            async for progress in rotate_encrypted_columns(database, keyring, Base.metadata, batch=batch):
                renewed += progress.renewed
                say(f"{progress.table}: {progress.renewed} renewed, {progress.passed} changed by others meanwhile")
            left = sum(use.values for use in await key_use(database, keyring, Base.metadata) if not use.current)
        except EncryptionFailed as error:
            fail(str(error))
        say(f"{renewed} values have the key {keyring.current} now.")
        if left:
            fail(f"{left} values have another key: a process still writes with it. Restart it, and run this again.")

    _connected(walk)


def _state(current: bool) -> str:  # noqa: FBT001 -- a column of a table
    return "current" if current else "old"


def _connected(work: "Callable[[Database, Keyring], Awaitable[None]]") -> None:
    import asyncio

    from mainspring.data import Database
    from mainspring.errors import DatabaseUnavailable
    from mainspring.security import EncryptionSettings

    settings = load_app().settings
    if not isinstance(settings, EncryptionSettings):
        fail("The service has no encrypted columns: its settings are no EncryptionSettings.", USAGE)

    async def run() -> None:
        database = Database.connect(settings.database_url, pool_size=1, application_name="mainspring-encryption")
        try:
            await work(database, settings.keyring)
        finally:
            await database.close()

    try:
        asyncio.run(run())
    except DatabaseUnavailable:
        fail(f"The database cannot be reached. Check {settings.origin('database_url').key}.")
