"""Rules about revisions as a whole, and about the history they form."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from ._catalog import Catalog
from ._code import assured, autocommit, ident, index, quoted, sql, validate
from ._findings import Hit, Step, release, revision
from ._reading import does_nothing, unseen
from ._recorded import RecordedRevision, Statement
from ._sql import dotted, names, qualified


def followed(recorded: RecordedRevision) -> Iterator[tuple[int, str, str | None, Hit]]:
    """What of an upgrade was not seen: line, call, the reason of a waiver around it, and the hit."""
    recording = recorded.upgrade
    if recording.failure:
        line, why = recording.failure
        yield line, "", None, Hit("not-followed", why, _open("not-followed"))
    for call in unseen(recorded.path, recording, "upgrade"):
        if not recording.failure or call.line < recording.failure[0]:
            yield (
                call.line,
                call.call,
                call.reason,
                Hit("not-reached", f"{call.call} was not reached.", _open("not-reached")),
            )


def downgrade(recorded: RecordedRevision, before: Catalog) -> Iterator[tuple[Statement | None, Hit]]:
    """What is wrong with going back."""
    changes = [
        s
        for s in recorded.upgrade.statements
        if s.kind not in {"update_stmt", "insert_stmt", "delete_stmt", "select_stmt"}
    ]
    if changes and does_nothing(recorded.path, "downgrade"):
        step = release(
            "Undo it in downgrade(), or raise NotImplementedError there: then going back stops instead of lying."
        )
        yield None, Hit("downgrade-missing", f"{recorded.id} changes the schema.", (step,))
    for this in recorded.downgrade.statements:
        for table, column in _taken(this):
            known = before.tables.get(table)
            if known and (column is None or column in known.columns):
                what = table if column is None else f"{table}.{column}"
                step = release(f"Leave {what} in downgrade(): it was there before this revision.")
                yield this, Hit("downgrade-loses-data", f"{what} was there before the upgrade.", (step,))


def heads(newest: Iterable[RecordedRevision]) -> Iterator[tuple[RecordedRevision, Hit]]:
    """Modules whose history has several ends, among the revisions that none comes after."""
    found: dict[str, list[RecordedRevision]] = {}
    for one in newest:
        found.setdefault(one.module, []).append(one)
    for module, ends in found.items():
        if len(ends) > 1:
            first, *others = (one.id for one in ends)
            step = release(f"Let one come after the other, in {others[0]}:", f"down_revision = {quoted(first)}")
            yield ends[-1], Hit("several-heads", f"{module} ends in {first} and {', '.join(others)}.", (step,))


def unfinished(catalog: Catalog, revision_id: str) -> Iterator[Hit]:
    """Constraints that a revision added and that are not validated at the end of history; keys without an index."""
    for name, table in catalog.tables.items():
        for constraint, known in table.constraints.items():
            if known.added[0] != revision_id:
                continue
            if not known.valid:
                step = revision("In a later revision:", *validate(name, constraint))
                yield Hit("never-validated", f"{constraint} of {name}.", (step,))
            if known.kind == "CONSTR_FOREIGN" and not _indexed(
                table.indexes.values(), table.constraints.values(), known.columns
            ):
                made = f"ix_{name.rpartition('.')[2]}_{'_'.join(known.columns)}"[:63]
                built = index(made, name, list(map(quoted, known.columns)), {})
                yield Hit(
                    "foreign-key-without-index",
                    f"{constraint} of {name}.",
                    (revision("An index on it:", autocommit(built)),),
                )


def invalid_index(name: str) -> Hit:
    """An index in the database that a broken-off build left."""
    line = sql(f"DROP INDEX CONCURRENTLY IF EXISTS {ident(name)}")
    return Hit("invalid-index", f"{name} is not valid.", (revision("Drop it, and build it again.", autocommit(line)),))


def edited(revision_id: str, path: Path) -> Hit:
    """A revision whose file is not what was applied."""
    step = release(f"Bring {path.name} back to what it was, and put the change into a new revision.")
    return Hit("edited-after-applying", f"{revision_id} is not what was applied.", (step,))


def _open(rule: str) -> tuple[Step, ...]:
    line = assured("read by hand: what does it do?", rule, "...")
    return (
        release("Take the branch or the loop over rows out: a revision that always does the same can be checked."),
        release("Or say how you know that it is safe:", line),
    )


def _taken(this: Statement) -> Iterator[tuple[str, str | None]]:
    if this.kind == "drop_stmt" and this.node["remove_type"] == "OBJECT_TABLE":
        for item in this.node["objects"]:
            yield dotted(names(item["list"]["items"])), None
    elif this.kind == "truncate_stmt":
        for relation in this.node["relations"]:
            yield qualified(relation["range_var"]), None
    elif this.kind == "alter_table_stmt":
        for item in this.node["cmds"]:
            if item["alter_table_cmd"]["subtype"] == "AT_DropColumn":
                yield qualified(this.node["relation"]), item["alter_table_cmd"]["name"]


def _indexed(indexes: object, constraints: object, columns: tuple[str, ...]) -> bool:
    keys = [i.columns for i in indexes]  # type: ignore[attr-defined]
    keys += [c.columns for c in constraints if c.kind in {"CONSTR_PRIMARY", "CONSTR_UNIQUE"}]  # type: ignore[attr-defined]
    return any(set(key[: len(columns)]) == set(columns) for key in keys)
