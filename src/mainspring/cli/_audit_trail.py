"""`audit-trail`: ask it, seal it, and verify that nobody has tampered with it."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ._exits import FAILED, USAGE, fail
from ._locate import load_app
from ._output import Json, as_json, say, table

if TYPE_CHECKING:
    from mainspring.app import Application
    from mainspring.data import AuditEntry, AuditReport, AuditTrail, Database

app = typer.Typer(no_args_is_help=True, help="Ask, seal and verify the audit trail.", rich_markup_mode=None)

type _Work[T] = Callable[["AuditTrail", "Database"], Awaitable[T]]


@app.command()
def verify(
    *,
    since: Annotated[
        str | None, typer.Option(metavar="MOMENT", help="Only what was sealed since then or is not yet; ISO 8601.")
    ] = None,
    anchor: Annotated[
        str | None,
        typer.Option(
            metavar="NUMBER:DIGEST", help="Of a seal, kept elsewhere: shows whether the trail was turned back."
        ),
    ] = None,
    most: Annotated[int, typer.Option(metavar="N", min=1, help="How many discrepancies are named.")] = 20,
    json: Json = False,
) -> None:
    """Exit with 1 when an entry or a seal is not as it was written, or is gone.

    Entries that no seal vouches for yet are checked too, but nothing shows when the last ones of a row among them are
    gone.
    """
    moment = _moment(since) if since else None
    if anchor and not _is_anchor(anchor):
        fail(f"{anchor!r} is no anchor. Write NUMBER:DIGEST, as `mainspring audit-trail seal` prints it.", USAGE)

    async def work(trail: "AuditTrail", _: "Database") -> "AuditReport":
        return await trail.verify(since=moment, anchor=anchor, most=most)

    report = _run(work)
    if json:
        as_json({"intact": report.intact, **_plain(report)})
    else:
        _tell(report)
    if not report.intact:
        raise typer.Exit(FAILED)


@app.command()
def seal() -> None:
    """Seal every entry that is committed by now, and print the newest seal's anchor, to be kept elsewhere.

    The service does it by itself; this is for cron, and before a backup.
    """

    async def work(trail: "AuditTrail", _: "Database") -> str | None:
        await trail.seal()
        return (await trail.verify(since=datetime.max.replace(tzinfo=UTC))).anchor

    say(_run(work) or "There is nothing to seal.")


@app.command(name="list")
def list_entries(
    *,
    entity: Annotated[str | None, typer.Option(metavar="TABLE[:ID]", help="Of one table, or of one row.")] = None,
    actor: Annotated[str | None, typer.Option(metavar="ID", help="Made by this one.")] = None,
    request: Annotated[str | None, typer.Option(metavar="ID", help="Of one request.")] = None,
    since: Annotated[str | None, typer.Option(metavar="MOMENT", help="Since then; ISO 8601.")] = None,
    limit: Annotated[int, typer.Option(metavar="N", min=1, max=1000, help="At most so many.")] = 50,
    json: Json = False,
) -> None:
    """Print entries, newest first."""
    moment = _moment(since) if since else None

    async def work(_trail: "AuditTrail", database: "Database") -> "list[AuditEntry]":
        from mainspring.data import AuditEntry, Store

        entity_type, _, entity_id = (entity or "").partition(":")
        wanted: list[tuple[Any, object]] = [
            (AuditEntry.entity_type, entity_type),
            (AuditEntry.entity_id, entity_id),
            (AuditEntry.actor_id, actor),
            (AuditEntry.request_id, request),
        ]
        criteria = [attribute == given for attribute, given in wanted if given]
        if moment is not None:
            criteria.append(AuditEntry.occurred_at >= moment)
        async with database.read() as session:
            newest = (AuditEntry.occurred_at.desc(), AuditEntry.id.desc())
            return [*await Store(AuditEntry, session).list(*criteria, order_by=newest, limit=limit)]

    found = _run(work)
    if json:
        as_json([_entry(entry) for entry in found])
        return
    rows = [
        (
            entry.occurred_at.isoformat(timespec="seconds"),
            f"{entry.actor_kind} {entry.actor_id}".strip(),
            entry.action,
            f"{entry.entity_type}:{entry.entity_id}",
            sorted({**(entry.before or {}), **(entry.after or {})}),
        )
        for entry in found
    ]
    table(("when", "who", "action", "row", "attributes"), rows)


def _run[T](work: _Work[T]) -> T:
    import asyncio

    from mainspring.data import translated

    app = load_app()

    async def running() -> T:
        with translated():
            return await _with_trail(app, work)

    return asyncio.run(running())


async def _with_trail[T](app: "Application", work: _Work[T]) -> T:
    """Start what the trail needs and nothing else: no mailer, no model provider."""
    from mainspring.data import AuditTrail, Database, Migrator
    from mainspring.kernel import Registry

    resources = {resource.provides: resource for resource in app.registry.resources}
    if AuditTrail not in resources:
        fail("The service has no audit trail. List audit_trail_module(settings) in create_app(modules=…).", USAGE)
    if any(one.module == "audit_trail" for one in await Migrator.configured(app.settings, app.modules).pending()):
        fail("The database lacks the tables of the audit trail. Run `mainspring db upgrade` first.")
    wanted: dict[Any, None] = {AuditTrail: None}
    for kind in (queue := [AuditTrail]):
        for need in resources[kind].needs:
            wanted[need] = None
            queue.append(need)
    registry = Registry([resources[kind] for kind in wanted])
    await registry.start()
    try:
        return await work(registry.get(AuditTrail), registry.get(Database))
    finally:
        await registry.close()


def _tell(report: "AuditReport") -> None:
    for found in report.discrepancies:
        say(f"{found.where}: {found.problem}")
    if report.more:
        say(f"… and {report.more} more.")
    say(f"{report.entries} entries of {report.chains} rows and {report.seals} seals were read.")
    if report.unsealed:
        say(f"{report.unsealed} entries are not sealed yet: `mainspring audit-trail seal` seals them.")
    if report.intact:
        say(f"Everything is as it was written. Anchor: {report.anchor or 'none yet'}.")
    else:
        say("The audit trail is not as it was written.")


def _entry(entry: "AuditEntry") -> dict[str, Any]:
    hidden = {"digest", "previous", "previous_epoch", "key_id", "epoch"}
    names = [attribute.key for attribute in entry.__mapper__.column_attrs]
    return {name: getattr(entry, name) for name in names if name not in hidden}


def _plain(report: "AuditReport") -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(report)


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        fail(f"{text!r} is no moment. Write it as ISO 8601: 2026-01-31, or 2026-01-31T12:00:00Z.", USAGE)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _is_anchor(text: str) -> bool:
    number, _, digest = text.partition(":")
    return number.isdigit() and len(digest) == 64
