"""Alembic code for recipes."""

import re
from collections.abc import Iterable, Sequence
from textwrap import indent

from sqlalchemy.dialects.postgresql.asyncpg import dialect
from sqlalchemy.dialects.postgresql.base import PGIdentifierPreparer

from ._catalog import Table
from ._findings import Step, revision
from ._sql import Node, expression, names, qualified, statement, type_name

_TYPES = {
    "bigint": "sa.BigInteger()",
    "boolean": "sa.Boolean()",
    "bytea": "sa.LargeBinary()",
    "date": "sa.Date()",
    "double precision": "sa.Double()",
    "int": "sa.Integer()",
    "integer": "sa.Integer()",
    "json": "sa.JSON()",
    "real": "sa.REAL()",
    "smallint": "sa.SmallInteger()",
    "text": "sa.Text()",
    "time": "sa.Time()",
    "timestamp": "sa.DateTime()",
    "timestamp with time zone": "sa.DateTime(timezone=True)",
    "timestamptz": "sa.DateTime(timezone=True)",
    "uuid": "sa.Uuid()",
    "varchar": "sa.String()",
}
_SIZED = {"varchar": "sa.String", "char": "sa.CHAR", "numeric": "sa.Numeric"}
_ACTIONS = {"r": "RESTRICT", "c": "CASCADE", "n": "SET NULL", "d": "SET DEFAULT"}
_ZEROS = {
    "sa.BigInteger()": "0", "sa.Boolean()": "false", "sa.Date()": "current_date", "sa.Double()": "0",
    "sa.Integer()": "0", "sa.REAL()": "0", "sa.SmallInteger()": "0", "sa.Text()": "''", "sa.String": "''",
    "sa.DateTime": "now()", "sa.Numeric": "0", "sa.CHAR": "''", "sa.Time()": "'00:00'",
    "sa.Uuid()": "'00000000-0000-0000-0000-000000000000'",
}  # fmt: skip


_quote = PGIdentifierPreparer(dialect()).quote  # type: ignore[no-untyped-call]


def ident(name: str) -> str:
    """A name as SQL, quoted if it has to be; with its schema if it has one."""
    return ".".join(map(_quote, name.split(".")))


def sql(text: str) -> str:
    """`op.execute` of a statement; colons that are no casts are kept from becoming parameters."""
    return f"op.execute({quoted(re.sub(r'(?<![:\\w]):(?=\w)', r'\\:', text))})"


def quoted(text: str) -> str:
    """A Python literal, with double quotes where they fit."""
    if "\n" in text or ('"' in text and "'" in text):
        return '"""' + text.replace("\\", "\\\\") + '"""'
    escaped = text.replace("\\", "\\\\")
    return f"'{escaped}'" if '"' in text else f'"{escaped}"'


def autocommit(*lines: str) -> str:
    """Lines outside of the revision's transaction."""
    return "with op.get_context().autocommit_block():\n" + indent("\n".join(lines), "    ")


def assured(reason: str, rules: str, *lines: str) -> str:
    """Lines under a waiver, with its import."""
    block = f"with assured({quoted(reason)}, {quoted(rules)}):\n" + indent("\n".join(lines), "    ")
    return f"from mainspring.data import assured\n\n{block}"


def backfilled(table: str, column: str, value: str, where: str | None = None) -> str:
    """A backfill of a column."""
    where = where or f"{ident(column)} IS NULL"
    call = f"backfill({quoted(ident(table))}, {{{quoted(ident(column))}: {quoted(value)}}}, where={quoted(where)})"
    return "from mainspring.data import backfill\n\n" + autocommit(call)


def named(table: str) -> str:
    """A table as arguments of an operation: its name, and its schema if it has one."""
    schema, _, name = table.rpartition(".")
    return f"{quoted(name)}, schema={quoted(schema)}" if schema else quoted(name)


def _schema(table: str) -> str:
    schema = table.rpartition(".")[0]
    return f", schema={quoted(schema)}" if schema else ""


def _bare(table: str) -> str:
    return quoted(table.rpartition(".")[2])


def python_type(kind: str) -> str | None:
    """A type of SQLAlchemy for a type of PostgreSQL, if it is a usual one."""
    if kind == "jsonb":
        return "postgresql.JSONB()"
    if kind in _TYPES:
        return _TYPES[kind]
    sized = re.fullmatch(r"(\w+)\(([\d, ]+)\)", kind)
    return f"{_SIZED[sized[1]]}({sized[2]})" if sized and sized[1] in _SIZED else None


def zero(kind: str) -> str:
    """A value that a new required column may have in old rows."""
    python = python_type(kind) or ""
    return _ZEROS.get(python) or _ZEROS.get(python.partition("(")[0]) or ("'{}'" if "json" in kind else "''")


def add_column(table: str, name: str, kind: str, *, default: str | None = None, required: bool = False) -> str:
    """`op.add_column`, or its SQL where the type is unusual."""
    python = python_type(kind)
    if python is None:
        tail = (f" DEFAULT {default}" if default else "") + (" NOT NULL" if required else "")
        return sql(f"ALTER TABLE {ident(table)} ADD COLUMN {ident(name)} {kind}{tail}")
    options = f", server_default=sa.text({quoted(default)})" if default else ""
    options += ", nullable=False" if required else ""
    lines = f"op.add_column({_bare(table)}, sa.Column({quoted(name)}, {python}{options}){_schema(table)})"
    return f"from sqlalchemy.dialects import postgresql\n\n{lines}" if python.startswith("postgresql") else lines


def create_index(node: Node) -> str:
    """The index of a parse tree, built concurrently and again after a failure."""
    elements = [element["index_elem"] for element in node.get("index_params", ())]
    if any(e.get("opclass") or e.get("collation") or e.get("ordering") != "SORTBY_DEFAULT" for e in elements):
        return sql(statement("index_stmt", node, concurrent=True, if_not_exists=True))
    columns = [
        quoted(e["name"]) if "name" in e else f"sa.text({quoted('(' + expression(e['expr']) + ')')})" for e in elements
    ]
    table = qualified(node["relation"])
    return index(node["idxname"], table, columns, node)


def index(name: str, table: str, columns: Sequence[str], node: Node) -> str:
    """`op.create_index`, concurrently; `columns` are Python already."""
    parts = [quoted(name), _bare(table), f"[{', '.join(columns)}]"]
    if schema := table.rpartition(".")[0]:
        parts.append(f"schema={quoted(schema)}")
    if node.get("unique"):
        parts.append("unique=True")
    if node.get("access_method", "btree") != "btree":
        parts.append(f"postgresql_using={quoted(node['access_method'])}")
    if node.get("index_including_params"):
        included = [e["index_elem"]["name"] for e in node["index_including_params"]]
        parts.append(f"postgresql_include=[{', '.join(map(quoted, included))}]")
    if "where_clause" in node:
        parts.append(f"postgresql_where=sa.text({quoted(expression(node['where_clause']))})")
    parts += ["postgresql_concurrently=True", "if_not_exists=True"]
    return _call("op.create_index", parts)


def unique_index(name: str, table: str, columns: Iterable[str]) -> str:
    """A unique index, concurrently."""
    return index(name, table, [quoted(c) for c in columns], {"unique": True})


def add_constraint(table: str, name: str, node: Node, *, valid: bool) -> str:
    """A constraint of a parse tree, checked for old rows or not."""
    schema = _schema(table)
    tail = "" if valid else ", postgresql_not_valid=True"
    if node["contype"] == "CONSTR_CHECK":
        check = quoted(expression(node["raw_expr"]))
        return f"op.create_check_constraint(op.f({quoted(name)}), {_bare(table)}, {check}{schema}{tail})"
    plain = not node.get("deferrable") and node.get("fk_matchtype", "s") == "s" and node.get("pk_attrs")
    if node["contype"] == "CONSTR_FOREIGN" and plain:
        return _foreign_key(table, name, node, tail)
    added = f"ALTER TABLE {ident(table)} ADD CONSTRAINT {ident(name)} {_definition(node)}"
    return sql(added if valid else f"{added} NOT VALID")


def _foreign_key(table: str, name: str, node: Node, tail: str) -> str:
    other = qualified(node["pktable"])
    columns = [", ".join(map(quoted, names(node.get(side)))) for side in ("fk_attrs", "pk_attrs")]
    parts = [f"op.f({quoted(name)})", _bare(table), _bare(other), f"[{columns[0]}]", f"[{columns[1]}]"]
    schemas = (("source_schema", table), ("referent_schema", other))
    parts += [f"{key}={quoted(of.rpartition('.')[0])}" for key, of in schemas if "." in of]
    actions = (("ondelete", "fk_del_action"), ("onupdate", "fk_upd_action"))
    parts += [f"{key}={quoted(_ACTIONS[node[action]])}" for key, action in actions if node.get(action) in _ACTIONS]
    return _call("op.create_foreign_key", [*parts, *([tail.removeprefix(", ")] if tail else [])])


def _definition(node: Node) -> str:
    plain = {k: v for k, v in node.items() if k not in {"conname", "skip_validation", "initially_valid"}}
    written = statement(
        "alter_table_stmt",
        {
            "relation": {"relname": "t", "inh": True, "relpersistence": "p"},
            "cmds": [
                {
                    "alter_table_cmd": {
                        "subtype": "AT_AddConstraint",
                        "def": {"constraint": plain | {"initially_valid": True}},
                    }
                }
            ],
            "objtype": "OBJECT_TABLE",
        },
    )
    return written.partition(" ADD ")[2].removesuffix(" NOT VALID")


def alter_column(table: str, column: str, change: str) -> str:
    """`op.alter_column` with one change, as keyword arguments."""
    return f"op.alter_column({_bare(table)}, {quoted(column)}, {change}{_schema(table)})"


def drop_check(table: str, name: str) -> str:
    """`op.drop_constraint` of a check."""
    return f'op.drop_constraint(op.f({quoted(name)}), {_bare(table)}, type_="check"{_schema(table)})'


def validate(table: str, *constraints: str) -> list[str]:
    """Lines that check constraints against old rows."""
    return [sql(f"ALTER TABLE {ident(table)} VALIDATE CONSTRAINT {ident(name)}") for name in constraints]


def not_null(table: str, column: str) -> tuple[Step, ...]:
    """How a column of a table in use becomes required."""
    name = f"{table.rpartition('.')[2]}_{column}_present"[:63]
    schema = _schema(table)
    return (
        revision(
            f"Require {column} of new rows, without reading the old ones.",
            f"op.create_check_constraint(op.f({quoted(name)}), {_bare(table)}, {quoted(f'{ident(column)} IS NOT NULL')}{schema}, postgresql_not_valid=True)",
        ),
        revision(
            "Check the old rows while others write; NOT NULL then takes the constraint's word for it.",
            autocommit(*validate(table, name)),
            alter_column(table, column, "nullable=False"),
            drop_check(table, name),
        ),
    )


def type_of(table: Table | None, column: str) -> str:
    """The type of a column as far as it is known; text otherwise."""
    known = table.columns.get(column) if table else None
    return known.type if known and known.type else "text"


def column_type(node: Node) -> str:
    """The type in a column's definition."""
    return type_name(node["type_name"])


def _call(function: str, parts: list[str]) -> str:
    line = f"{function}({', '.join(parts)})"
    return line if len(line) <= 100 else f"{function}(\n" + "".join(f"    {part},\n" for part in parts) + ")"
