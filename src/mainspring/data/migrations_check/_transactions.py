"""Rules about what stands together in a transaction, and about rows."""

import re
from collections.abc import Iterator

from ._code import assured, autocommit, ident, quoted, sql
from ._findings import REST, Case, Hit, Step, release, revision
from ._recorded import Recording, Statement
from ._sql import Node, expression, names, qualified, statement, walk

_LONGEST_MS = 30_000
_UNITS = {"us": 0.001, "ms": 1, "s": 1000, "min": 60_000, "h": 3_600_000, "d": 86_400_000, "": 1}
_GUARDS = {
    "index_stmt": "if_not_exists", "drop_stmt": "missing_ok", "create_stmt": "if_not_exists",
    "create_schema_stmt": "if_not_exists", "create_seq_stmt": "if_not_exists", "alter_enum_stmt": "skip_if_new_val_exists",
    "create_table_as_stmt": "if_not_exists", "create_function_stmt": "replace", "create_trig_stmt": "replace",
    "view_stmt": "replace",
}  # fmt: skip
_UNGUARDED = frozenset({"create_enum_stmt", "create_domain_stmt", "rename_stmt"})
_GUARDED_COMMANDS = frozenset({"AT_AddColumn", "AT_DropColumn", "AT_DropConstraint"})


def rows(case: Case) -> Iterator[Hit]:
    """`UPDATE`, `DELETE` and `INSERT … SELECT`."""
    node, this = case.node, case.statement
    table = qualified(node["relation"])
    copies = this.kind == "insert_stmt" and "from_clause" in node.get("select_stmt", {}).get("select_stmt", {})
    if this.kind == "insert_stmt" and not copies:
        return
    if this.kind == "update_stmt":
        yield from _twice(case)
    few = this.kind != "insert_stmt" and _one_row(case, table)
    locked = [o for o in (*case.same_transaction(case.earlier), *case.same_transaction(case.later)) if _locks(case, o)]
    if locked and not few:
        detail = f"{this.operation or 'It'} writes rows of {table}; line {locked[0].line} locks {_table(locked[0])}."
        yield Hit("backfill-under-lock", detail, (REST, *_batched(case, table)))
    elif not this.autocommit and this.operation.endswith("backfill"):
        yield Hit(
            "backfill-under-lock",
            f"backfill of {table} stands in the revision's transaction, and would refuse to run.",
            _batched(case, table),
        )
    elif case.exists(node["relation"]) and not few and not copies and not this.operation.endswith("backfill"):
        what = "" if "where_clause" in node else ", all of them,"
        yield Hit("backfill-unbatched", f"Rows of {table}{what} are written at once.", _batched(case, table))


def by_hand(case: Case) -> Iterator[Hit]:
    """`BEGIN`, `COMMIT` and `ROLLBACK`."""
    kind = case.node["kind"]
    if kind not in {f"TRANS_STMT_{word}" for word in ("BEGIN", "START", "COMMIT", "ROLLBACK")}:
        return
    step = revision("Leave it out: a revision is a transaction. What has to run outside of it stands in a block.",
                    autocommit("pass"))  # fmt: skip
    ended = any(
        o.node.get("kind") in {"TRANS_STMT_COMMIT", "TRANS_STMT_ROLLBACK"}
        for o in case.later
        if o.kind == "transaction_stmt"
    )
    begins = kind in {"TRANS_STMT_BEGIN", "TRANS_STMT_START"}
    rule = "transaction-uncommitted" if begins and not ended else "transaction-nesting"
    yield Hit(rule, f"{case.statement.sql.upper()} in the transaction of the revision.", (step,))


def timeout(case: Case) -> Iterator[Hit]:
    """`SET lock_timeout` and `statement_timeout`."""
    name = case.node.get("name", "")
    if name not in {"lock_timeout", "statement_timeout"}:
        return
    given = _milliseconds(case.node)
    lifted = given == 0 or (name == "lock_timeout" and given > _LONGEST_MS)
    if lifted:
        setting = f"MIGRATION_{name.upper()}"
        step = revision("Leave it out; the runner sets it. Where the limit of this revision has to differ, keep it short.",
                        sql(f"SET LOCAL {name} = '{'5s' if name == 'lock_timeout' else '30min'}'"))  # fmt: skip
        yield Hit("timeout-off", f"{case.statement.sql} takes the place of {setting}.", (step,))


def rerunnable(recording: Recording) -> Iterator[tuple[Statement, Hit]]:
    """What would meet itself when a revision of several transactions is run again after it broke off."""
    statements = recording.statements
    if not any(s.autocommit for s in statements):
        return
    last = recording.transactions
    final = {last} if not any(s.autocommit and s.transaction == last for s in statements) else set()
    for number, this in enumerate(statements):
        if this.transaction in final:
            continue
        unguarded = _without_guard(this, statements[:number])
        if unguarded is not None:
            yield (
                this,
                Hit(
                    "not-rerunnable",
                    f"{this.operation or 'It'} is committed before the revision is.",
                    _guarded(this, unguarded),
                ),
            )


def opaque(case: Case) -> Iterator[Hit]:
    """`DO` in a language that is not read here, and `CALL`."""
    if case.statement.kind == "do_stmt":
        languages = [
            names([d["def_elem"]["arg"]])[0] for d in case.node["args"] if d["def_elem"]["defname"] == "language"
        ]
        if languages in ([], ["plpgsql"]):
            return
    yield Hit("opaque-sql", "What it executes is not written here.", opened(case.statement))


def opened(this: Statement) -> tuple[Step, ...]:
    """The way out where something cannot be checked."""
    return (revision("Write the statements themselves; or say how you know that it is safe.",
                     assured("read by hand: it takes no lock on a table in use", "opaque-sql", sql(this.sql))),)  # fmt: skip


def _without_guard(this: Statement, before: list[Statement]) -> str | None:
    if this.kind == "alter_table_stmt":
        for item in this.node["cmds"]:
            command = item["alter_table_cmd"]
            if command["subtype"] in _GUARDED_COMMANDS and not command.get("missing_ok"):
                return str(command["subtype"])
            if command["subtype"] == "AT_AddConstraint" and not _dropped_first(command, before):
                return "AT_AddConstraint"
        return None
    guard = _GUARDS.get(this.kind)
    if this.kind == "alter_enum_stmt" and "old_val" in this.node:
        return None
    if guard and not this.node.get(guard):
        return guard
    return "" if this.kind in _UNGUARDED else None


def _dropped_first(command: Node, before: list[Statement]) -> bool:
    name = command["def"]["constraint"].get("conname")
    commands = (i["alter_table_cmd"] for s in before if s.kind == "alter_table_stmt" for i in s.node["cmds"])
    return any(c["subtype"] == "AT_DropConstraint" and c["name"] == name for c in commands)


def _guarded(this: Statement, guard: str) -> tuple[Step, ...]:
    if guard in {"", "AT_AddConstraint"}:
        return (revision("In a revision of its own, which is one transaction.", sql(this.sql)),)
    if guard.startswith("AT_"):
        cmds = [{"alter_table_cmd": i["alter_table_cmd"] | {"missing_ok": True}} for i in this.node["cmds"]]
        written = sql(statement(this.kind, this.node, cmds=cmds))
    else:
        written = sql(statement(this.kind, this.node, **{guard: True}))
    return (
        revision(
            "Say what to do when it is there, or gone, already.", autocommit(written) if this.autocommit else written
        ),
    )


def _twice(case: Case) -> Iterator[Hit]:
    columns = [t["res_target"]["name"] for t in case.node["target_list"]]
    for column in sorted({c for c in columns if columns.count(c) > 1}):
        targets = {t["res_target"]["name"]: t for t in case.node["target_list"]}
        once = statement("update_stmt", case.node, target_list=list(targets.values()))
        yield Hit("duplicate-assignment", f"{column} is set twice.", (revision("Once.", sql(once)),))


def _locks(case: Case, other: Statement) -> bool:
    if other.kind == "alter_table_stmt":
        quiet = {"AT_ValidateConstraint", "AT_SetStatistics", "AT_SetRelOptions"}
        commands = {i["alter_table_cmd"]["subtype"] for i in other.node["cmds"]}
        return case.exists(other.node["relation"]) and not commands <= quiet
    if other.kind in {"rename_stmt", "lock_stmt", "index_stmt", "create_trig_stmt"} and "relation" in other.node:
        return case.exists(other.node["relation"])
    return False


def _table(other: Statement) -> str:
    return qualified(other.node["relation"])


def _one_row(case: Case, table: str) -> bool:
    """Whether the rows are picked by a unique column, so that there are as many as are named."""
    where = case.node.get("where_clause", {})
    tests = where["bool_expr"]["args"] if where.get("bool_expr", {}).get("boolop") == "AND_EXPR" else [where]
    known = case.catalog.tables.get(table)
    for test in tests:
        equal = test.get("a_expr", {})
        if equal.get("kind") in {"AEXPR_OP", "AEXPR_IN"} and names(equal["name"]) == ["="]:
            fields = equal.get("lexpr", {}).get("column_ref", {}).get("fields")
            if fields and not any(True for _ in walk(equal["rexpr"], "column_ref")):
                column = names(fields)[-1]
                if known is None or not known.columns or known.unique(column):
                    return True
    return False


def _batched(case: Case, table: str) -> tuple[Step, ...]:
    node = case.node
    if case.statement.kind == "insert_stmt":
        return (revision("Then the rows, in a revision of its own.", sql(case.statement.sql)),)
    where = expression(node["where_clause"]) if "where_clause" in node else None
    if case.statement.kind == "delete_stmt" or "from_clause" in node:
        reason = f"few rows of {table}, counted before"
        line = assured(reason, "backfill-unbatched", sql(case.statement.sql))
        return (
            release(f"Write rows of {table} from a job, some thousands at a time."),
            revision("Or, where they are few, say so.", line),
        )
    values = ", ".join(
        f"{quoted(ident(t['res_target']['name']))}: {quoted(expression(t['res_target']['val']))}"
        for t in node["target_list"]
    )
    test = where or " OR ".join(
        f"{ident(t['res_target']['name'])} IS DISTINCT FROM {expression(t['res_target']['val'])}"
        for t in node["target_list"]
    )
    call = f"backfill({quoted(ident(table))}, {{{values}}}, where={quoted(test)})"
    return (
        revision(
            "Then the rows, in batches, each its own transaction.",
            "from mainspring.data import backfill\n\n" + autocommit(call),
        ),
    )


def _milliseconds(node: Node) -> float:
    if node["kind"] in {"VAR_RESET", "VAR_SET_DEFAULT"}:
        return 0
    constant = node["args"][0].get("a_const", {})
    if "ival" in constant:
        return float(constant["ival"].get("ival", 0))
    found = re.fullmatch(r"\s*(\d+)\s*([a-z]*)\s*", constant.get("sval", {}).get("sval", ""))
    return float(found[1]) * _UNITS.get(found[2], 1) if found else 1
