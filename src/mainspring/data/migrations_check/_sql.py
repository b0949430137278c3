"""SQL as PostgreSQL's own parser reads it: statements as nested dictionaries, and back to text."""

from collections.abc import Iterable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

type Node = dict[str, Any]
"""A node of PostgreSQL's parse tree, by the names of its fields. A field with its default value is absent."""

LONGEST_NAME = 63
"""Bytes of an identifier; PostgreSQL cuts off what is longer."""


class Unparsable(Exception):
    """Text that PostgreSQL would refuse as SQL; says why."""


class ParserMissing(ModuleNotFoundError):
    """The parser is an extra that is not installed."""

    def __init__(self) -> None:
        super().__init__(
            "Checking migrations for PostgreSQL needs its parser. Install it: uv add 'mainspring[migrations]'.",
            name="postgast",
        )


@dataclass(frozen=True, slots=True)
class Parsed:
    """One statement.

    Attributes:
        kind: Which, in the parser's words: `alter_table_stmt`.
        node: Its parse tree.
        text: It as it was written.
    """

    kind: str
    node: Node
    text: str


def parse(sql: str) -> list[Parsed]:
    """The statements of a text.

    Raises:
        Unparsable: PostgreSQL would refuse it.
        ParserMissing: The extra is not installed.
    """
    postgast = _parser()
    try:
        tree = _json().MessageToDict(postgast.parse(sql), preserving_proto_field_name=True)
    except postgast.PgQueryError as error:
        raise Unparsable(str(error)) from error
    raw = sql.encode()
    found = []
    for statement in tree.get("stmts", ()):
        ((kind, node),) = statement["stmt"].items()
        start = statement.get("stmt_location", 0)
        end = start + statement["stmt_len"] if "stmt_len" in statement else len(raw)
        found.append(Parsed(kind, node, raw[start:end].decode(errors="replace").strip()))
    return found


def long_names(sql: str) -> list[str]:
    """Identifiers that PostgreSQL would cut off; the parse tree has them cut already."""
    postgast = _parser()
    identifier = postgast.pg_query_pb2.Token.Value("IDENT")
    raw = sql.encode()
    names = (raw[t.start : t.end] for t in postgast.scan(sql).tokens if t.token == identifier)
    return [name.decode(errors="replace").strip('"') for name in names if len(name.strip(b'"')) > LONGEST_NAME]


def plpgsql(sql: str) -> tuple[list[str], bool]:
    """The SQL inside a `DO` block or a function, and whether it builds more of it at run time."""
    postgast = _parser()
    try:
        body = postgast.parse_plpgsql(sql)
    except postgast.PgQueryError:
        return [], True
    static = [n["sqlstmt"]["PLpgSQL_expr"]["query"] for n in walk(body, "PLpgSQL_stmt_execsql")]
    return static, any(True for _ in walk(body, "PLpgSQL_stmt_dynexecute"))


def expression(node: Node) -> str:
    """An expression as SQL."""
    return _write("select_stmt", {"target_list": [{"res_target": {"val": node}}], "op": "SETOP_NONE"})[len("SELECT ") :]


def type_name(node: Node) -> str:
    """A type as SQL: `varchar(20)`."""
    cast = expression({"type_cast": {"arg": {"a_const": {"isnull": True}}, "type_name": node}})
    return cast.partition("::")[2].removeprefix("pg_catalog.")


def statement(kind: str, node: Node, **changes: Any) -> str:
    """A statement as SQL, with fields of it changed."""
    changed = deepcopy(node)
    changed.update(changes)
    return _write(kind, changed)


def walk(node: Any, kind: str) -> Iterator[Node]:
    """Every node of a kind, at any depth."""
    if isinstance(node, list):
        for item in node:
            yield from walk(item, kind)
    elif isinstance(node, dict):
        for name, item in node.items():
            if name == kind:
                yield item
            yield from walk(item, kind)


def names(nodes: list[Node] | None) -> list[str]:
    """The texts of a list of names."""
    return [node["string"]["sval"] for node in nodes or ()]


def dotted(parts: Iterable[str]) -> str:
    """A name of several parts, with the schema unless it is the usual one."""
    return ".".join(part for part in parts if part != "public")


def qualified(relation: Node) -> str:
    """A table's name, with the schema unless it is the usual one."""
    schema = relation.get("schemaname", "public")
    return relation["relname"] if schema == "public" else f"{schema}.{relation['relname']}"


def _write(kind: str, node: Node) -> str:
    postgast = _parser()
    return str(
        postgast.deparse(_json().ParseDict({"stmts": [{"stmt": {kind: node}}]}, postgast.pg_query_pb2.ParseResult()))
    )


@cache
def _parser() -> Any:
    # Not by a statement: an extra that takes most of a second to import, and whose stubs mypy cannot read.
    try:
        return import_module("postgast")
    except ModuleNotFoundError:
        raise ParserMissing from None


def _json() -> Any:
    return import_module("google.protobuf.json_format")
