"""Rules about constraints of tables in use, and about domains."""

from collections.abc import Iterator
from typing import Any

from ._code import add_constraint, assured, autocommit, ident, not_null, sql, unique_index, validate
from ._findings import REST, Case, Hit, Step, revision
from ._recorded import Statement
from ._sql import Node, names, qualified

_LOCKING = frozenset({"AT_AddColumn", "AT_DropColumn", "AT_AlterColumnType", "AT_AddConstraint", "AT_DropConstraint",
                      "AT_SetNotNull", "AT_DropNotNull", "AT_ColumnDefault", "AT_AttachPartition", "AT_DetachPartition"})  # fmt: skip


def add(case: Case) -> Iterator[Hit]:
    """`ADD CONSTRAINT`."""
    if not case.existing:
        return
    node = case.node["def"]["constraint"]
    kind, valid = node["contype"], not node.get("skip_validation")
    name = node.get("conname") or _name(case.table, node)
    if kind == "CONSTR_FOREIGN" and valid:
        yield Hit(
            "foreign-key-validating",
            f"{name}: writes to {case.table} and {qualified(node['pktable'])} wait.",
            _in_steps(case.table, name, node),
        )
    elif kind == "CONSTR_CHECK" and valid:
        yield Hit(
            "check-validating", f"{name}: each row of {case.table} is checked.", _in_steps(case.table, name, node)
        )
    elif kind in {"CONSTR_UNIQUE", "CONSTR_PRIMARY"} and "indexname" not in node:
        yield Hit("unique-builds-index", f"{name}: the index of {case.table} is built.", _with_index(case, name, node))
    elif kind == "CONSTR_PRIMARY":
        yield from _nullable(case, node["indexname"])
    elif kind == "CONSTR_EXCLUSION":
        step = revision("There are no steps for it; it may stand where few rows make it quick.",
                        assured(f"{case.table} has few rows", "exclusion-constraint", sql(case.statement.sql)))  # fmt: skip
        yield Hit("exclusion-constraint", f"{name}: each row of {case.table} is compared.", (step,))
    elif kind == "CONSTR_NOTNULL" and valid:
        table, column = case.catalog.tables.get(case.table), names(node["keys"])[0]
        if not (table and table.never_null(column)):
            yield Hit("set-not-null", f"Each row of {case.table} is read for {column}.", not_null(case.table, column))


def check(case: Case) -> Iterator[Hit]:
    """`VALIDATE CONSTRAINT`."""
    if not case.existing or not any(_alters(other, case.table) for other in _before(case)):
        return
    name = case.node["name"]
    steps = (REST, revision("Then validate, when that is committed.", *validate(case.table, name)))
    yield Hit("validate-under-lock", f"{name}: others wait until each row of {case.table} is read.", steps)


def alter_domain(case: Case) -> Iterator[Hit]:
    """`ALTER DOMAIN … ADD CONSTRAINT`, `VALIDATE CONSTRAINT`, `SET NOT NULL`."""
    if case.node["subtype"] not in {"C", "V", "O"}:
        return
    domain = names(case.node["type_name"])[-1]
    users = [
        (t, c)
        for t, table in case.catalog.tables.items()
        for c, column in table.columns.items()
        if column.type == domain
    ]
    if case.node["subtype"] == "C" and case.node["def"]["constraint"].get("skip_validation"):
        return
    yield Hit(
        "domain-constraint",
        f"{domain} is used by {', '.join(f'{t}.{c}' for t, c in users) or 'unknown tables'}.",
        _on_tables(case, domain, users),
    )


def create_domain(case: Case) -> Iterator[Hit]:
    """`CREATE DOMAIN … CHECK`."""
    checks = [c for c in case.node.get("constraints", ()) if c["constraint"]["contype"] == "CONSTR_CHECK"]
    if checks:
        domain = names(case.node["domainname"])[-1]
        plain = revision(
            "The domain alone; constraints belong to the tables.", sql(case.statement.sql.partition(" CHECK")[0])
        )
        yield Hit("domain-with-constraint", f"{domain} has {len(checks)}.", (plain,))


def _before(case: Case) -> list[Statement]:
    return list(case.same_transaction(case.earlier))


def _alters(other: Statement, table: str) -> bool:
    if other.kind != "alter_table_stmt" or qualified(other.node["relation"]) != table:
        return False
    return any(item["alter_table_cmd"]["subtype"] in _LOCKING for item in other.node["cmds"])


def _in_steps(table: str, name: str, node: Node) -> tuple[Step, ...]:
    return (
        revision("For new rows, without reading the old ones.", add_constraint(table, name, node, valid=False)),
        revision("For old rows, while others write.", *validate(table, name)),
    )


def _with_index(case: Case, name: str, node: Node) -> tuple[Step, ...]:
    kind = "PRIMARY KEY" if node["contype"] == "CONSTR_PRIMARY" else "UNIQUE"
    columns = names(node["keys"])
    table = case.catalog.tables.get(case.table)
    nullable = [c for c in columns if kind == "PRIMARY KEY" and not (table and table.never_null(c))]
    return (
        *(step for column in nullable for step in not_null(case.table, column)),
        revision("The index, while others write.", autocommit(unique_index(name, case.table, columns))),
        revision("The constraint takes it over.",
                 sql(f"ALTER TABLE {ident(case.table)} ADD CONSTRAINT {ident(name)} {kind} USING INDEX {ident(name)}")),
    )  # fmt: skip


def _nullable(case: Case, index: str) -> Iterator[Hit]:
    table = case.catalog.tables.get(case.table)
    known = table.indexes.get(index) if table else None
    for column in known.columns if table and known else ():
        if not (table and table.never_null(column)):
            yield Hit("set-not-null", f"The key makes {case.table}.{column} required.", not_null(case.table, column))


def _on_tables(case: Case, domain: str, users: list[tuple[str, str]]) -> tuple[Step, ...]:
    node = case.node.get("def", {}).get("constraint", {})
    test = {"null_test": {"nulltesttype": "IS_NOT_NULL"}} if case.node["subtype"] == "O" else node.get("raw_expr")
    added, checked = [], []
    for table, column in users:
        name = f"{table.rpartition('.')[2]}_{column}_{node.get('conname', 'check')}"[:63]
        added.append(
            add_constraint(table, name, {"contype": "CONSTR_CHECK", "raw_expr": _about(test, column)}, valid=False)
        )
        checked += validate(table, name)
    if not added:
        line = assured(f"few rows use the domain {domain}", "domain-constraint", sql(case.statement.sql))
        return (revision("No revision says which tables use it; look them up.", line),)
    return (revision("On the tables, for new rows.", *added), revision("For old rows, while others write.", *checked))


def _about(node: Any, column: str) -> Node:
    """An expression on the value of a domain, as one on a column."""
    reference: Node = {"fields": [{"string": {"sval": column}}]}

    def replaced(item: Any) -> Any:
        if isinstance(item, list):
            return [replaced(one) for one in item]
        if not isinstance(item, dict):
            return item
        changed: Node = {k: reference if _is_value(k, v) else replaced(v) for k, v in item.items()}
        if "null_test" in changed and "arg" not in changed["null_test"]:
            changed["null_test"]["arg"] = {"column_ref": reference}
        return changed

    result: Node = replaced(node)
    return result


def _is_value(kind: str, node: Any) -> bool:
    return kind == "column_ref" and names(node["fields"]) == ["value"]


def _name(table: str, node: Node) -> str:
    kind = {"CONSTR_FOREIGN": "fk", "CONSTR_CHECK": "ck", "CONSTR_PRIMARY": "pk"}.get(node["contype"], "uq")
    columns = "_".join(names(node.get("keys") or node.get("fk_attrs")))
    return f"{kind}_{table.rpartition('.')[2]}_{columns}".rstrip("_")[:63]
