"""Rules about tables, schemas, enums and names as a whole."""

from collections.abc import Iterator

from ._code import assured, autocommit, backfilled, column_type, ident, named, sql
from ._columns import NUMBERED
from ._findings import Case, Hit, Step, release, revision
from ._recorded import Statement
from ._sql import Node, dotted, long_names, names, qualified, statement, walk

_SMALL = frozenset({"int", "integer", "smallint", "serial", "smallserial", "serial4", "serial2"})


def drop(case: Case) -> Iterator[Hit]:
    """`DROP TABLE` and `DROP SCHEMA`."""
    if case.node["remove_type"] == "OBJECT_SCHEMA":
        schema = names([case.node["objects"][0]])[0]
        yield Hit(
            "drop-database", f"The schema {schema} would be gone.", _gone("drop-database", f"the schema {schema}", case)
        )
    if case.node["remove_type"] not in {"OBJECT_TABLE", "OBJECT_VIEW"}:
        return
    for item in case.node["objects"]:
        table = dotted(names(item["list"]["items"]))
        if case.catalog.is_new(table, case.revision) or case.catalog.views.get(table) == case.revision:
            continue
        if any(_makes(other, table) for other in case.later):
            yield Hit("drop-and-create", f"{table} would start empty.", _kept(table))
        elif table in case.mapped:
            yield Hit(
                "still-mapped", f"The models still have {table}.", _gone("still-mapped", f"the table {table}", case)
            )
        elif case.node["remove_type"] == "OBJECT_TABLE":
            yield Hit("drop-table", f"{table} would be gone.", _gone("drop-table", f"the table {table}", case))


def drop_database(case: Case) -> Iterator[Hit]:
    """`DROP DATABASE`."""
    name = case.node["dbname"]
    step = release("Not in a migration: by hand, after a backup that was restored once.")
    yield Hit("drop-database", f"The database {name} would be gone.", (step, revision("Nothing.", "pass")))


def truncate(case: Case) -> Iterator[Hit]:
    """`TRUNCATE`."""
    tables = [qualified(r["range_var"]) for r in case.node["relations"]]
    if not any(case.exists(r["range_var"]) for r in case.node["relations"]):
        return
    rule = "truncate-cascade" if case.node.get("behavior") == "DROP_CASCADE" else "truncate"
    line = sql(statement("truncate_stmt", case.node, behavior="DROP_RESTRICT"))
    step = revision("Name every table that shall be emptied, and say why.",
                    assured(f"nobody needs the rows of {', '.join(tables)}", "truncate", line))  # fmt: skip
    yield Hit(rule, f"{', '.join(tables)} would be empty.", (step,))


def rename(case: Case) -> Iterator[Hit]:
    """`RENAME` of a table or schema."""
    node = case.node
    if node["rename_type"] == "OBJECT_SCHEMA":
        yield Hit(
            "rename-schema",
            f"{node['subname']} becomes {node['newname']}.",
            _schema_renamed(case, node["subname"], node["newname"]),
        )
    elif node["rename_type"] == "OBJECT_TABLE" and case.exists(node["relation"]):
        old = qualified(node["relation"])
        yield from _renamed(case, old, qualified(node["relation"] | {"relname": node["newname"]}), case.statement.sql)


def move(case: Case) -> Iterator[Hit]:
    """`SET SCHEMA` of a table."""
    if case.node["object_type"] == "OBJECT_TABLE" and case.exists(case.node["relation"]):
        old = qualified(case.node["relation"])
        yield from _renamed(case, old, f"{case.node['newschema']}.{old.rpartition('.')[2]}", case.statement.sql)


def lock(case: Case) -> Iterator[Hit]:
    """`LOCK TABLE`."""
    share = 5
    relations = [r["range_var"] for r in case.node["relations"]]
    if case.node["mode"] >= share and any(map(case.exists, relations)):
        tables = ", ".join(map(qualified, relations))
        step = revision("Leave it out: each statement takes the locks that it needs, when it needs them.", "pass")
        yield Hit("lock-table", f"{tables} would be locked.", (step,))


def alter_enum(case: Case) -> Iterator[Hit]:
    """`ALTER TYPE … ADD VALUE` and `RENAME VALUE`."""
    node, enum = case.node, names(case.node["type_name"])[-1]
    if "old_val" in node:
        yield Hit(
            "rename-enum-value", f"{enum}: {node['old_val']!r} becomes {node['new_val']!r}.", _value_renamed(case, enum)
        )
        return
    added = sql(statement("alter_enum_stmt", node, skip_if_new_val_exists=True))
    # Before 17 not even where the type itself is of the same transaction.
    new = case.server >= 170000 and case.catalog.enums.get(enum) == case.statement.moment
    users = [
        o
        for o in case.same_transaction(case.later)
        if any(c.get("sval", {}).get("sval") == node["new_val"] for c in walk(o.node, "a_const"))
    ]
    if users and not new:
        steps = (
            revision("The value, committed for itself.", autocommit(added)),
            revision("What uses it.", *_used(users)),
        )
        yield Hit("enum-value-used", f"{enum}: {node['new_val']!r} is used on line {users[0].line}.", steps)
    if "new_val_neighbor" not in node:
        known = f"ALTER TYPE {ident(enum)} ADD VALUE IF NOT EXISTS '{node['new_val']}' BEFORE '…'"
        yield Hit(
            "enum-value-order",
            f"{enum}: {node['new_val']!r} becomes the last.",
            (release(f"Say where it sorts: {known}."),),
        )


def columns(case: Case) -> Iterator[Hit]:
    """The types of columns that are made, in `CREATE TABLE` and `ADD COLUMN`."""
    node = case.node
    table = qualified(node["relation"]) if "relation" in node else case.table
    made = [e["column_def"] for e in node.get("table_elts", ()) if "column_def" in e]
    if "def" in node:
        made = [node["def"]["column_def"]]
    keys = {
        k
        for e in node.get("table_elts", ())
        if e.get("constraint", {}).get("contype") == "CONSTR_PRIMARY"
        for k in names(e["constraint"].get("keys"))
    }
    for column in made:
        if "type_name" in column:
            yield from _column(case, table, column, keys)


def long(case: Case) -> Iterator[Hit]:
    """Names that PostgreSQL would cut off."""
    for name in dict.fromkeys(long_names(case.statement.sql)):
        step = revision(
            "A name that fits.",
            sql(case.statement.sql.replace(name, name.encode()[:48].decode(errors="ignore").rstrip("_"))),
        )
        yield Hit("name-too-long", f"{name} has {len(name.encode())} bytes.", (step,))


def unqualified(case: Case) -> Iterator[Hit]:
    """Tables named without a schema."""
    for relation in walk(case.node, "relation"):
        if "schemaname" not in relation:
            step = release(f'Write `schema="public"`, or public.{relation["relname"]} in SQL.')
            yield Hit("table-without-schema", f"{relation['relname']}.", (step,))


def _column(case: Case, table: str, column: Node, keys: set[str]) -> Iterator[Hit]:
    kind, name = column_type(column), column["colname"]
    constraints = {c["constraint"]["contype"] for c in column.get("constraints", ())}
    plain = kind.partition("(")[0]
    if (name in keys or "CONSTR_PRIMARY" in constraints) and plain in _SMALL:
        yield Hit(
            "primary-key-32-bits", f"{table}.{name} is {kind}.", (release("Write `sa.BigInteger()`, or a UUID."),)
        )
    if plain in NUMBERED:
        yield Hit(
            "serial", f"{table}.{name} is {kind}.", (release("Write `sa.BigInteger(), sa.Identity(always=True)`."),)
        )
    if plain in {"char", "bpchar"}:
        yield Hit("char-type", f"{table}.{name} is {kind}.", (release("Write `sa.Text()`."),))
    if kind.startswith("timestamp") and "with time zone" not in kind and not kind.startswith("timestamptz"):
        yield Hit(
            "timestamp-without-zone",
            f"{table}.{name} is {kind}.",
            (release("Write `sa.DateTime(timezone=True)`, or `UtcDateTime()`."),),
        )
    if kind.startswith("varchar("):
        yield Hit(
            "varchar-limit", f"{table}.{name} is {kind}.", (release("Write `sa.Text()` and a check constraint."),)
        )


def _makes(other: Statement, table: str) -> bool:
    return other.kind == "create_stmt" and qualified(other.node["relation"]) == table


def _gone(rule: str, what: str, case: Case) -> tuple[Step, ...]:
    return (
        release(f"Ship a release that does not use {what}, and keep a copy of the rows."),
        revision(
            "When no older one runs, in the next release:",
            assured(f"no running release uses {what}", rule, sql(case.statement.sql)),
        ),
    )


def _kept(table: str) -> tuple[Step, ...]:
    return (
        release(f"If the rows shall stay: alter {table} instead, with op.add_column, op.drop_column and so on."),
        revision("If they shall go: in a revision of its own that says so.",
                 assured(f"nobody needs the rows of {table}", "drop-table", f"op.drop_table({named(table)})")),
    )  # fmt: skip


def _renamed(case: Case, old: str, new: str, written: str) -> Iterator[Hit]:
    later = case.same_transaction(case.later)
    if any(o.kind == "view_stmt" and qualified(o.node["view"]) == old for o in later):
        return
    steps = (
        revision("The old name stays as a view, through which old releases read and write.",
                 sql(written), sql(f"CREATE VIEW {ident(old)} AS SELECT * FROM {ident(new)}")),  # noqa: S608 -- shown, not executed
        release(f"Ship a release whose models say {new}."),
        revision("When no older one runs, in the next release:", sql(f"DROP VIEW {ident(old)}")),
    )  # fmt: skip
    yield Hit("rename-table", f"{old} becomes {new}.", steps)


def _schema_renamed(case: Case, old: str, new: str) -> tuple[Step, ...]:
    tables = [t.rpartition(".")[2] for t in case.catalog.tables if t.startswith(f"{old}.")]
    moves = [f"ALTER TABLE {ident(old)}.{ident(t)} SET SCHEMA {ident(new)}" for t in tables]
    views = [f"CREATE VIEW {ident(old)}.{ident(t)} AS SELECT * FROM {ident(new)}.{ident(t)}" for t in tables]  # noqa: S608 -- shown, not executed
    both = [sql(line) for pair in zip(moves, views, strict=True) for line in pair]
    return (
        revision("The tables move; views of the old names stay for old releases.", sql(f"CREATE SCHEMA {ident(new)}"), *both),
        release(f"Ship a release whose models say schema={new!r}."),
        revision("When no older one runs, in the next release:",
                 assured(f"no running release names the schema {old}", "drop-database", sql(f"DROP SCHEMA {ident(old)} CASCADE"))),
    )  # fmt: skip


def _value_renamed(case: Case, enum: str) -> tuple[Step, ...]:
    old, new = case.node["old_val"], case.node["new_val"]
    added = sql(f"ALTER TYPE {ident(enum)} ADD VALUE IF NOT EXISTS '{new}' BEFORE '{old}'")
    users = [
        (t, c) for t, table in case.catalog.tables.items() for c, column in table.columns.items() if column.type == enum
    ]
    filled = [backfilled(t, c, f"'{new}'", f"{ident(c)} = '{old}'") for t, c in users]
    return (
        revision("The new value beside the old one.", autocommit(added)),
        release(f"Ship a release that reads both and writes {new!r}."),
        revision("Rows with the old value, in batches; the value itself stays.", *(filled or ["pass"])),
    )


def _used(users: list[Statement]) -> list[str]:
    return [autocommit(sql(u.sql)) if u.kind == "update_stmt" else sql(u.sql) for u in users]
