"""Rules about indexes, and about rewriting and detaching tables."""

from collections.abc import Callable, Iterator
from functools import partial

from ._code import assured, autocommit, create_index, ident, quoted, sql
from ._findings import Case, Hit, Step, release, revision
from ._sql import Node, names, qualified, statement

_CORRUPTING = range(140000, 140004)
_MANY = 3


def create(case: Case) -> Iterator[Hit]:
    """`CREATE INDEX`."""
    node = case.node
    table, name = qualified(node["relation"]), node.get("idxname", "")
    known = case.catalog.tables.get(table)
    if node.get("concurrent"):
        yield from _concurrent(case, f"index {name}", lambda: create_index(_with_name(node)))
        if case.server in _CORRUPTING:
            yield Hit("index-corruption", f"This server has such a version: {case.server}.", _corruption(node))
    elif case.exists(node["relation"]) and not (known and known.partitioned and not node["relation"].get("inh")):
        if known and known.partitioned:
            yield Hit(
                "index-on-partitioned", f"{table} has {len(known.partitions)} partitions.", _partitioned(case, table)
            )
        else:
            step = revision("Build it while others write.", autocommit(create_index(_with_name(node))))
            yield Hit("index-not-concurrent", f"Writes to {table} wait until {name or 'the index'} is built.", (step,))
    if len(node.get("index_params", ())) > _MANY and not node.get("unique"):
        fewer = _with_name(node) | {"index_params": node["index_params"][:_MANY], "if_not_exists": True}
        step = revision("Begin with the columns that narrow most.", autocommit(create_index(fewer)))
        yield Hit("index-many-columns", f"{name} has {len(node['index_params'])} columns.", (step,))


def drop(case: Case) -> Iterator[Hit]:
    """`DROP INDEX`."""
    if case.node["remove_type"] != "OBJECT_INDEX":
        return
    parts = [names(item["list"]["items"]) for item in case.node["objects"]]
    for name in parts:
        table = case.catalog.indexes.get(name[-1], "")
        if case.node.get("concurrent"):
            yield from _concurrent(case, f"index {name[-1]}", partial(_drop, name, table))
        elif not (table and case.catalog.is_new(table, case.revision)):
            step = revision("Drop it while others read and write.", autocommit(_drop(name, table)))
            yield Hit("drop-index-not-concurrent", f"All queries on {table or 'its table'} wait.", (step,))


def reindex(case: Case) -> Iterator[Hit]:
    """`REINDEX`."""
    node = case.node
    options = [p["def_elem"]["defname"] for p in node.get("params", ())]
    relation = node.get("relation")
    if "concurrently" in options:
        yield from _concurrent(case, "REINDEX", lambda: sql(case.statement.sql))
    elif relation is None or case.exists(relation):
        params = [*node.get("params", ()), {"def_elem": {"defname": "concurrently", "defaction": "DEFELEM_UNSPEC"}}]
        step = revision(
            "Rebuild it beside the old one.", autocommit(sql(statement("reindex_stmt", node, params=params)))
        )
        yield Hit("reindex-not-concurrent", "Writes to the table wait, and reads of the index.", (step,))


def refresh(case: Case) -> Iterator[Hit]:
    """`REFRESH MATERIALIZED VIEW`."""
    if not case.node.get("concurrent") and case.exists(case.node["relation"]) and not case.node.get("skip_data"):
        written = sql(statement("refresh_mat_view_stmt", case.node, concurrent=True))
        view = qualified(case.node["relation"])
        step = revision("Refresh it beside the old rows; it needs a unique index on plain columns.", written)
        yield Hit("refresh-not-concurrent", f"Readers of {view} wait.", (step,))


def rewrite(case: Case) -> Iterator[Hit]:
    """`CLUSTER` and `VACUUM FULL`."""
    relations = [case.node["relation"]] if "relation" in case.node else []
    options = {o["def_elem"]["defname"] for o in case.node.get("options", ())}
    if case.statement.kind == "vacuum_stmt":
        if "full" not in options:
            return
        relations = [r["vacuum_relation"]["relation"] for r in case.node.get("rels", ())]
    named = ", ".join(ident(qualified(r)) for r in relations)
    if relations and not any(map(case.exists, relations)):
        return
    tables = " ".join(f"--table={qualified(r)}" for r in relations)
    steps = (
        release(
            f"If the space has to go back to the disk, run `pg_repack {tables}` from a shell: it copies beside others."
        ),
        revision(
            "Free the space for new rows, while others read and write.",
            autocommit(sql(f"VACUUM (ANALYZE) {named}".strip())),
        ),
    )
    yield Hit("table-rewrite-command", f"{named or 'Every table'} is copied, and all its indexes.", steps)


def rewrite_command(case: Case) -> Iterator[Hit]:
    """`ALTER TABLE … SET LOGGED`, `SET TABLESPACE`, `SET ACCESS METHOD`."""
    if case.existing:
        reason = f"{case.table} has few rows, or nobody uses it now"
        step = revision(
            "There is no way in steps: say why it may be done.",
            assured(reason, "table-rewrite-command", sql(case.statement.sql)),
        )
        yield Hit("table-rewrite-command", f"{case.table} is copied, and all its indexes.", (step,))


def detach(case: Case) -> Iterator[Hit]:
    """`ALTER TABLE … DETACH PARTITION`."""
    partition = case.node["def"]["partition_cmd"]
    name = qualified(partition["name"])
    written = sql(f"ALTER TABLE {ident(case.table)} DETACH PARTITION {ident(name)} CONCURRENTLY")
    if partition.get("concurrent"):
        yield from _concurrent(case, f"partition {name}", lambda: written)
    elif case.existing:
        step = revision("Detach it while others read and write.", autocommit(written))
        yield Hit("detach-partition-not-concurrent", f"All queries on {case.table} wait.", (step,))


def _concurrent(case: Case, what: str, code: Callable[[], str]) -> Iterator[Hit]:
    if not case.statement.autocommit:
        step = revision("Leave the revision's transaction for it.", autocommit(code()))
        yield Hit("concurrent-in-transaction", f"For {what} PostgreSQL would refuse it.", (step,))


def _drop(name: list[str], table: str) -> str:
    schema = f", schema={quoted(name[0])}" if len(name) > 1 else ""
    of = f", table_name={quoted(table.rpartition('.')[2])}" if table else ""
    return f"op.drop_index({quoted(name[-1])}{of}{schema}, postgresql_concurrently=True, if_exists=True)"


def _corruption(node: Node) -> tuple[Step, ...]:
    written = sql(statement("index_stmt", {k: v for k, v in node.items() if k != "concurrent"}))
    return (
        release("Upgrade the server to 14.4 or later, then rebuild the indexes that were built concurrently before."),
        revision("Until then, build it under lock when few write.",
                 assured("the server is 14.0 to 14.3 and writes are stopped", "index-not-concurrent", written)),
    )  # fmt: skip


def _partitioned(case: Case, table: str) -> tuple[Step, ...]:
    node = _with_name(case.node)
    name = node["idxname"]
    only = statement("index_stmt", node, relation={**node["relation"], "inh": False}, if_not_exists=True)
    built, attached = [], []
    for partition in case.catalog.tables[table].partitions:
        part = f"{partition.rpartition('.')[2]}_{name}"[:63]
        relation = {k: v for k, v in node["relation"].items() if k != "schemaname"} | {
            "relname": partition.rpartition(".")[2]
        }
        if "." in partition:
            relation["schemaname"] = partition.partition(".")[0]
        built.append(create_index(node | {"idxname": part, "relation": relation}))
        attached.append(sql(f"ALTER INDEX {ident(name)} ATTACH PARTITION {ident(part)}"))
    return (
        revision("Build the index of each partition while others write.", autocommit(*(built or ["pass"]))),
        revision("Declare the whole one, which builds nothing, and attach them.", sql(only), *attached),
    )


def _with_name(node: Node) -> Node:
    if "idxname" in node:
        return node
    columns = "_".join(e["index_elem"].get("name", "expression") for e in node.get("index_params", ()))
    return node | {"idxname": f"ix_{node['relation']['relname']}_{columns}"[:63]}
