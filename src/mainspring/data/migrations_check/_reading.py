"""What a revision's source says that recording it has not shown."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ._recorded import Recording

_QUERIES = frozenset({"execute", "exec_driver_sql", "scalar", "scalars", "run_async", "bulk_save_objects", "add_all"})
_SILENT = frozenset({"f", "get_bind", "get_context", "batch_alter_table", "inline_literal", "invoke"})


@dataclass(frozen=True, slots=True)
class Unseen:
    """A call that would execute something and was not reached; `reason` is that of a waiver around it."""

    line: int
    call: str
    reason: str | None


def unseen(path: Path, recording: Recording, direction: str) -> list[Unseen]:
    """Calls in one direction of a revision that nothing was recorded from.

    Those in branches on the dialect are not meant: what is written for SQLite does not concern PostgreSQL.
    """
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    if direction not in functions:
        return []
    found = [call for function in _reached(functions, direction) for call in _calls(function.body, None)]
    return [call for call in found if call.line not in recording.seen]


def does_nothing(path: Path, direction: str) -> bool:
    """Whether a direction is `pass`, a docstring, or missing."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == direction:
            return all(
                isinstance(s, ast.Pass) or (isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant))
                for s in node.body
            )
    return True


def _reached(functions: dict[str, ast.FunctionDef], start: str) -> Iterator[ast.FunctionDef]:
    waiting, done = [start], set[str]()
    while waiting:
        name = waiting.pop()
        if name in done:
            continue
        done.add(name)
        yield functions[name]
        called = (
            n.func.id for n in ast.walk(functions[name]) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)
        )
        waiting += [one for one in called if one in functions]


def _calls(body: list[ast.stmt], reason: str | None) -> Iterator[Unseen]:
    for statement in body:
        if isinstance(statement, ast.If) and _on_dialect(statement.test):
            continue
        inner = reason
        if isinstance(statement, ast.With):
            inner = _reason(statement) or reason
        for expression in _own_expressions(statement):
            yield from _in_expression(expression, inner)
        for block in ("body", "orelse", "finalbody"):
            yield from _calls([s for s in getattr(statement, block, []) if isinstance(s, ast.stmt)], inner)
        for handler in getattr(statement, "handlers", []):
            yield from _calls(handler.body, inner)


def _own_expressions(statement: ast.stmt) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(statement):
        if not isinstance(child, ast.stmt | ast.ExceptHandler):
            yield child


def _in_expression(expression: ast.AST, reason: str | None) -> Iterator[Unseen]:
    for node in ast.walk(expression):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner = node.func.value
            on_op = isinstance(owner, ast.Name) and owner.id in {"op", "batch", "batch_op"}
            name = node.func.attr
            if (on_op and name not in _SILENT) or name in _QUERIES:
                yield Unseen(node.lineno, ast.unparse(node.func), reason)


def _on_dialect(test: ast.expr) -> bool:
    words = {n.attr for n in ast.walk(test) if isinstance(n, ast.Attribute)}
    words |= {n.id for n in ast.walk(test) if isinstance(n, ast.Name)}
    return bool(words & {"dialect", "is_offline_mode", "as_sql"}) or any(
        "sqlite" in w or "postgres" in w for w in words
    )


def _reason(statement: ast.With) -> str | None:
    for item in statement.items:
        call = item.context_expr
        if isinstance(call, ast.Call) and ast.unparse(call.func).endswith("assured") and call.args:
            given = call.args[0]
            return str(given.value) if isinstance(given, ast.Constant) else ast.unparse(given)
    return None
