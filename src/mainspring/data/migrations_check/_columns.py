"""Rules about columns of tables in use."""

from collections.abc import Iterator

from ._code import (
    add_column,
    add_constraint,
    alter_column,
    assured,
    autocommit,
    backfilled,
    column_type,
    drop_check,
    ident,
    index,
    not_null,
    python_type,
    quoted,
    sql,
    type_of,
    unique_index,
    validate,
    zero,
)  # fmt: skip
from ._findings import Case, Hit, Step, release, revision
from ._recorded import Statement
from ._sql import Node, expression, parse, qualified
from ._types import needs_rewrite
from ._volatility import volatile

NUMBERED = {
    "serial": "int",
    "serial4": "int",
    "bigserial": "bigint",
    "serial8": "bigint",
    "smallserial": "smallint",
    "serial2": "smallint",
}
"""The types of numbering columns, and what they store."""


def add(case: Case) -> Iterator[Hit]:
    """`ADD COLUMN`."""
    if not case.existing:
        return
    node = case.node["def"]["column_def"]
    parts = {c["constraint"]["contype"]: c["constraint"] for c in node.get("constraints", ())}
    kind, column = column_type(node), node["colname"]
    of = f"{case.table}.{column}"
    default = parts.get("CONSTR_DEFAULT")
    filled = default is not None or kind in NUMBERED or bool(parts.keys() & {"CONSTR_GENERATED", "CONSTR_IDENTITY"})
    if kind in NUMBERED or "CONSTR_IDENTITY" in parts:
        yield Hit("add-column-serial", f"Each row of {case.table} has to get a number.", _numbered(case, column, kind))
    if default is not None and volatile(default["raw_expr"]):
        written = expression(default["raw_expr"])
        yield Hit("add-column-volatile-default", f"{written} has to be computed for each row of {case.table}.",
                  _defaulted(case, column, kind, written, required="CONSTR_NOTNULL" in parts))  # fmt: skip
    if parts.get("CONSTR_GENERATED", {}).get("generated_kind", "v") == "s":
        yield Hit(
            "add-column-generated", f"{of} has to be computed for each row.", _generated(case, column, kind, parts)
        )
    if "CONSTR_NOTNULL" in parts and not filled:
        yield Hit(
            "add-column-required",
            f"Rows of {case.table} that are there would have no {column}.",
            _required(case, column, kind),
        )
    if "CONSTR_FOREIGN" in parts:
        yield Hit("add-column-reference", f"{of} points to {qualified(parts['CONSTR_FOREIGN']['pktable'])}.",
                  _referring(case, column, kind, parts["CONSTR_FOREIGN"]))  # fmt: skip
    if parts.keys() & {"CONSTR_UNIQUE", "CONSTR_PRIMARY"}:
        yield Hit("add-column-unique", f"The index of {of} is built under lock.", _unique(case, column, kind))
    if "CONSTR_CHECK" in parts:
        yield Hit(
            "check-validating",
            f"Each row of {case.table} is checked.",
            _checked(case, column, kind, parts["CONSTR_CHECK"]),
        )
    if kind == "json":
        step = revision("jsonb has equality, and indexes.", add_column(case.table, column, "jsonb"))
        yield Hit("column-json", f"{of} would be json.", (step,))


def drop(case: Case) -> Iterator[Hit]:
    """`DROP COLUMN`."""
    if case.existing:
        column = case.node["name"]
        rule = "still-mapped" if column in case.mapped.get(case.table, ()) else "drop-column"
        yield Hit(rule, f"{case.table}.{column} would be gone.", _dropped(case.table, column, rule))


def rename(case: Case) -> Iterator[Hit]:
    """`RENAME COLUMN`."""
    if case.node["rename_type"] != "OBJECT_COLUMN" or not case.existing:
        return
    old, new = case.node["subname"], case.node["newname"]
    kind = type_of(case.catalog.tables.get(case.table), old)
    steps = _moved(case, old, new, kind, ident(old))
    keep = release(
        f'Often enough: rename it in Python only. `{new}: Mapped[...] = mapped_column("{old}")` needs no migration. Else:'
    )
    yield Hit("rename-column", f"{case.table}.{old} becomes {new}.", (keep, *steps))


def change_type(case: Case) -> Iterator[Hit]:
    """`ALTER COLUMN … TYPE`."""
    if not case.existing:
        return
    table, column = case.catalog.tables.get(case.table), case.node["name"]
    definition = case.node["def"]["column_def"]
    new = column_type(definition)
    known = table.columns.get(column) if table else None
    old = (known.type if known else "") or _normal(case.statement.existing_type)
    converts = "raw_expr" in definition
    steps = _moved(
        case,
        column,
        f"{column}_new"[:63],
        new,
        expression(definition["raw_expr"]) if converts else f"{ident(column)}::{new}",
    )
    indexed = bool(table and any(column in i.columns for i in table.indexes.values()))
    if converts or needs_rewrite(old, new, indexed=indexed):
        detail = f"{case.table}.{column} goes from {old or 'a type that no revision names'} to {new}."
        yield Hit("change-column-type", detail, steps)
    elif table and any(c.kind == "CONSTR_CHECK" and column in c.columns for c in table.constraints.values()):
        yield Hit(
            "change-type-constrained",
            f"{case.table}.{column} is checked again for each row.",
            _recheck(case, column, new),
        )
    if any(_makes_required(other, case.table, column) for other in [*case.earlier, case.statement, *case.later]):
        step = revision(
            "The type alone.",
            alter_column(case.table, column, f"type_={python_type(new) or 'sa.Text()'}"),
        )
        first = steps if converts or needs_rewrite(old, new, indexed=indexed) else (step,)
        yield Hit(
            "change-type-and-not-null", f"{case.table}.{column} does both.", (*first, *not_null(case.table, column))
        )


def require(case: Case) -> Iterator[Hit]:
    """`SET NOT NULL`."""
    table, column = case.catalog.tables.get(case.table), case.node["name"]
    if case.existing and not (table and table.never_null(column)):
        yield Hit("set-not-null", f"Each row of {case.table} is read for {column}.", not_null(case.table, column))


def allow_null(case: Case) -> Iterator[Hit]:
    """`DROP NOT NULL`."""
    if case.existing:
        line = alter_column(case.table, case.node["name"], "nullable=True")
        steps = (
            release(f"Ship a release that takes NULL from {case.table}.{case.node['name']}."),
            revision("Then allow it.", assured("the running release takes NULL from it", "drop-not-null", line)),
        )
        yield Hit("drop-not-null", f"{case.table}.{case.node['name']} may be NULL.", steps)


def default(case: Case) -> Iterator[Hit]:
    """`SET DEFAULT` and `DROP DEFAULT`."""
    table, column = case.catalog.tables.get(case.table), case.node["name"]
    known = table.columns.get(column) if table else None
    if "def" in case.node or not case.existing or not (known and known.not_null and known.default):
        return
    line = alter_column(case.table, column, "server_default=None")
    steps = (
        release(f"Ship a release that always writes {case.table}.{column}."),
        revision("Then drop it.", assured(f"no running release leaves {column} out", "drop-default", line)),
    )
    yield Hit("drop-default", f"{case.table}.{column} is required and has nothing else.", steps)


def _makes_required(other: Statement, table: str, column: str) -> bool:
    if other.kind != "alter_table_stmt" or qualified(other.node["relation"]) != table:
        return False
    commands = (item["alter_table_cmd"] for item in other.node["cmds"])
    return any(c["subtype"] == "AT_SetNotNull" and c["name"] == column for c in commands)


def _normal(existing: str | None) -> str:
    if not existing:
        return ""
    (cast,) = parse(f"SELECT NULL::{existing}")
    return column_type(cast.node["target_list"][0]["res_target"]["val"]["type_cast"])


def _defaulted(case: Case, column: str, kind: str, value: str, *, required: bool) -> tuple[Step, ...]:
    return (
        revision("The column, and the default for new rows only.", add_column(case.table, column, kind),
                 alter_column(case.table, column, f"server_default=sa.text({quoted(value)})")),
        revision("Old rows, in batches.", backfilled(case.table, column, value)),
        *(not_null(case.table, column) if required else ()),
    )  # fmt: skip


def _numbered(case: Case, column: str, kind: str) -> tuple[Step, ...]:
    number = NUMBERED.get(kind, kind)
    sequence = f"{case.table}_{column}_seq"
    following = f"nextval('{ident(sequence)}')"
    return (
        revision("A sequence, the column, and the default for new rows only.",
                 sql(f"CREATE SEQUENCE {ident(sequence)}"), add_column(case.table, column, number),
                 alter_column(case.table, column, f"server_default=sa.text({quoted(following)})"),
                 sql(f"ALTER SEQUENCE {ident(sequence)} OWNED BY {ident(case.table)}.{ident(column)}")),
        revision("Old rows, in batches.", backfilled(case.table, column, following)),
        *not_null(case.table, column),
    )  # fmt: skip


def _generated(case: Case, column: str, kind: str, parts: dict[str, Node]) -> tuple[Step, ...]:
    value = expression(parts["CONSTR_GENERATED"]["raw_expr"])
    function = f"{case.table.rpartition('.')[2]}_{column}_computed"[:63]
    body = f"BEGIN SELECT {value} INTO NEW.{ident(column)} FROM (SELECT NEW.*) AS row; RETURN NEW; END"  # noqa: S608 -- shown, not executed
    create = f"CREATE FUNCTION {ident(function)}() RETURNS trigger LANGUAGE plpgsql AS $$ {body} $$"
    trigger = f"CREATE TRIGGER {ident(function)} BEFORE INSERT OR UPDATE ON {ident(case.table)} FOR EACH ROW EXECUTE FUNCTION {ident(function)}()"
    return (
        revision("A plain column that a trigger computes for new rows. (PostgreSQL 18 has VIRTUAL, which needs neither.)",
                 add_column(case.table, column, kind), sql(create), sql(trigger)),
        revision("Old rows, in batches.", backfilled(case.table, column, value)),
    )  # fmt: skip


def _required(case: Case, column: str, kind: str) -> tuple[Step, ...]:
    line = add_column(case.table, column, kind, default=zero(kind), required=True)
    return (
        revision(
            "A constant default is not written into rows, so it is instant. Choose what old rows shall have.", line
        ),
    )


def _referring(case: Case, column: str, kind: str, node: Node) -> tuple[Step, ...]:
    short = case.table.rpartition(".")[2]
    name = node.get("conname") or f"fk_{short}_{column}_{node['pktable']['relname']}"[:63]
    key = node | {"fk_attrs": [{"string": {"sval": column}}]}
    built = index(f"ix_{short}_{column}"[:63], case.table, [quoted(column)], {})
    return (
        revision("The column, and the key for new rows.", add_column(case.table, column, kind),
                 add_constraint(case.table, name, key, valid=False)),
        revision("The index, and the key for old rows, while others write.",
                 autocommit(built, *validate(case.table, name))),
    )  # fmt: skip


def _unique(case: Case, column: str, kind: str) -> tuple[Step, ...]:
    name = f"uq_{case.table.rpartition('.')[2]}_{column}"[:63]
    return (
        revision("The column.", add_column(case.table, column, kind)),
        revision("Its index, while others write.", autocommit(unique_index(name, case.table, [column]))),
        revision("The constraint takes the index over.",
                 sql(f"ALTER TABLE {ident(case.table)} ADD CONSTRAINT {ident(name)} UNIQUE USING INDEX {ident(name)}")),
    )  # fmt: skip


def _checked(case: Case, column: str, kind: str, node: Node) -> tuple[Step, ...]:
    name = node.get("conname") or f"ck_{case.table.rpartition('.')[2]}_{column}"[:63]
    return (
        revision("The column, and the check for new rows.", add_column(case.table, column, kind),
                 add_constraint(case.table, name, node, valid=False)),
        revision("The check for old rows, while others write.", *validate(case.table, name)),
    )  # fmt: skip


def _dropped(table: str, column: str, rule: str) -> tuple[Step, ...]:
    reason = f"no release since the one without {column} is running"
    line = (
        f"op.drop_column({quoted(table.rpartition('.')[2])}, {quoted(column)})"
        if "." not in table
        else sql(f"ALTER TABLE {ident(table)} DROP COLUMN {ident(column)}")
    )
    before = "a default or NULL must be possible first, or its inserts fail"
    return (
        release(f"Ship a release whose models do not have {table}.{column}; {before}."),
        revision("When no older one runs, in the next release:", assured(reason, rule, line)),
    )


def _moved(case: Case, old: str, new: str, kind: str, value: str) -> tuple[Step, ...]:  # noqa: PLR0917
    return (
        revision(f"A new column {new}.", add_column(case.table, new, kind)),
        release(f"Ship a release that writes both {old} and {new}, and reads {old}."),
        revision(
            "Old rows, in batches.",
            backfilled(case.table, new, value, f"{ident(new)} IS NULL AND {ident(old)} IS NOT NULL"),
        ),
        release(f"Ship a release that reads and writes {new} only."),
        _dropped(case.table, old, "drop-column")[-1],
    )


def _recheck(case: Case, column: str, new: str) -> tuple[Step, ...]:
    table = case.catalog.tables[case.table]
    dropped, added, checked = [], [], []
    for name, constraint in table.constraints.items():
        if constraint.kind == "CONSTR_CHECK" and column in constraint.columns and constraint.node:
            dropped.append(drop_check(case.table, name))
            added.append(add_constraint(case.table, name, constraint.node, valid=False))
            checked.append(name)
    return (
        revision(
            "The check leaves old rows alone meanwhile.",
            *dropped,
            sql(f"ALTER TABLE {ident(case.table)} ALTER COLUMN {ident(column)} TYPE {new}"),
            *added,
        ),
        revision("Check the old rows while others write.", *validate(case.table, *checked)),
    )
