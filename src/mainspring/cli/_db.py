"""`db`: the schema's history."""

from collections.abc import Coroutine
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ._db_check import Format, Wanted, examine, run_round_trip, version_number
from ._exits import USAGE, fail
from ._locate import load_app
from ._output import Json, as_json, say, table

if TYPE_CHECKING:
    from mainspring.app import Application
    from mainspring.data import Migrator, Revision

app = typer.Typer(no_args_is_help=True, help="Apply, revert, write and check migrations.", rich_markup_mode=None)


@app.command()
def upgrade(
    target: Annotated[str, typer.Argument(metavar="[TARGET]", help="Up to which revision.")] = "heads",
    *,
    sql: Annotated[bool, typer.Option("--sql", help="Print the SQL instead, from an empty database.")] = False,
) -> None:
    """Apply what the database lacks."""
    service, migrator = _service()
    if sql:
        typer.echo(migrator.sql(target), nl=False)
        return
    applied = _run(service, migrator.upgrade(target))
    if applied:
        _tell("Applied", applied)
    else:
        waiting = _run(service, migrator.pending())
        say(f"Nothing to do up to {target}." if waiting else "Nothing to do: the schema is current.")


# Otherwise `-1` is taken for an option.
@app.command(context_settings={"ignore_unknown_options": True})
def downgrade(
    target: Annotated[
        str, typer.Argument(metavar="TARGET", help="Back to which: base, -1, MODULE@base, MODULE@-1, an id.")
    ],
) -> None:
    """Revert revisions. Data in dropped tables and columns is gone."""
    service, migrator = _service()
    reverted = _run(service, migrator.downgrade(target))
    if reverted:
        _tell("Reverted", reverted)
    else:
        say(f"Nothing to do: nothing after {target} is applied.")


@app.command()
def revision(
    message: Annotated[str, typer.Option("--message", "-m", metavar="TEXT", help="What it does.")],
    *,
    module: Annotated[
        str | None, typer.Option(metavar="NAME", help="Whose history; the service's own module by default.")
    ] = None,
    empty: Annotated[bool, typer.Option("--empty", help="Do not look for differences.")] = False,
) -> None:
    """Write a revision with what the models have and the database lacks. Read it before you apply it."""
    service, migrator = _service()
    owner = module or _own_module(service)
    pending = _run(service, migrator.pending())
    if pending:
        names = ", ".join(one.id for one in pending)
        fail(f"The database lacks {names}, so differences would be misread. Run `mainspring db upgrade` first.")
    if not empty and not _run(service, migrator.drift()):
        fail("The models and the database agree, so there is nothing to write. --empty writes a revision to fill in.")
    try:
        written = _run(service, migrator.revision(message, module=owner, empty=empty))
    except ValueError as error:
        fail(str(error), USAGE)
    advice = "Fill it in" if empty else "Read it before you apply it: renames and type changes are guessed"
    say(f"Wrote {written}. {advice}.")


@app.command()
def current(*, json: Json = False) -> None:
    """Print where each module's history stands."""
    service, migrator = _service()
    latest = {one.module: one for one in _run(service, migrator.history()) if one.applied}
    if json:
        as_json(list(latest.values()))
    elif latest:
        table(("module", "revision", "what it does"), [(one.module, one.id, one.message) for one in latest.values()])
    else:
        say("Nothing is applied.")


@app.command()
def history(*, json: Json = False) -> None:
    """List every revision, oldest first."""
    service, migrator = _service()
    revisions = _run(service, migrator.history())
    if json:
        as_json(revisions)
    elif revisions:
        rows = [(one.module, one.id, "applied" if one.applied else "pending", one.message) for one in revisions]
        table(("module", "revision", "state", "what it does"), rows)
    else:
        say("No module has migrations.")


@app.command()
def check(
    *,
    since: Annotated[
        str | None,
        typer.Option(metavar="REVISION", help="Only check those after it (base: all); asks no database."),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Fail for advice and unused waivers too.")] = False,
    allow_pending: Annotated[
        bool, typer.Option("--allow-pending", help="Do not fail for pending migrations that are safe.")
    ] = False,
    round_trip: Annotated[
        bool,
        typer.Option("--round-trip", help="Up, down and up again on an EMPTY database: the schema must be the same."),
    ] = False,
    accept_edits: Annotated[
        bool, typer.Option("--accept-edits", help="Take edited revisions that are applied as they are now.")
    ] = False,
    rule: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="Look for an optional rule too. Again for more.")
    ] = None,
    server: Annotated[
        str | None,
        typer.Option(metavar="VERSION", help="PostgreSQL's version; by default the database's, or the newest."),
    ] = None,
    output: Annotated[Format, typer.Option("--format", help="How to say it.")] = Format.text,
    json: Json = False,
) -> None:
    """Exit with 1 when pending migrations would lock PostgreSQL or break a running release, or models and database differ.

    Also when migrations are pending at all, which --allow-pending lets pass.
    """
    service, migrator = _service()
    if round_trip:
        run_round_trip(migrator, partial(_run, service))
        return
    if accept_edits:
        accepted = _run(service, migrator.accept_edits())
        say(f"Accepted: {', '.join(accepted)}." if accepted else "No applied revision was edited.")
        return
    wanted = Wanted(
        since=since,
        strict=strict,
        allow_pending=allow_pending,
        format=Format.json if json else output,
        enabled=tuple(rule or ()),
        server=version_number(server),
    )
    examine(migrator, partial(_run, service), wanted, postgresql=service.settings.database_url.startswith("postgres"))


def _service() -> "tuple[Application, Migrator]":
    from mainspring.data import Migrator

    service = load_app()
    return service, Migrator.configured(service.settings, service.modules)


def _run[T](service: "Application", work: Coroutine[Any, Any, T]) -> T:
    import asyncio

    from mainspring.data import translated
    from mainspring.errors import DatabaseUnavailable
    from mainspring.settings import masked

    async def running() -> T:
        with translated():
            return await work

    try:
        return asyncio.run(running())
    except (DatabaseUnavailable, ConnectionError, TimeoutError) as error:
        cause = error.__cause__ or error
        # SQLAlchemy's own message repeats the statement; the driver's says what is the matter.
        reason = str(getattr(cause, "orig", None) or cause).partition("\n")[0]
        url = masked(service.settings.database_url)
        key = service.settings.origin("database_url").key
        fail(f"The database cannot be reached at {url}: {reason or type(cause).__name__}. Check {key}.")


def _own_module(service: "Application") -> str:
    own = [m.name for m in service.modules if m.migrations and m.migrations.models.partition(".")[0] != "mainspring"]
    if len(own) != 1:
        known = ", ".join(own) or "none"
        fail(f"Name the module with --module. Those of the service with migrations: {known}.", USAGE)
    return own[0]


def _tell(done: str, revisions: "list[Revision]") -> None:
    count = "1 migration" if len(revisions) == 1 else f"{len(revisions)} migrations"
    say(f"{done} {count}:")
    for one in revisions:
        say(f"  {one.id}  {one.message}")
