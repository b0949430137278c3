"""What applied revisions said when they were applied, so that editing one afterwards is noticed."""

import ast
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from sqlalchemy import Column, Connection, MetaData, String, Table, delete, insert, inspect, select

DIGESTS = "alembic_digest"

_table = Table(
    DIGESTS, MetaData(), Column("revision", String(255), primary_key=True), Column("digest", String(64), nullable=False)
)


def digest(path: Path) -> str:
    """Of what a revision does: its formatting, comments and docstrings do not count."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.FunctionDef) and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return sha256(ast.unparse(tree).encode()).hexdigest()


def remember(connection: Connection, revision: str, path: Path | None) -> None:
    """Write down what was applied; without a path, that it was undone. In the transaction of the revision."""
    _table.create(connection, checkfirst=True)
    connection.execute(delete(_table).where(_table.c.revision == revision))
    if path is not None:
        connection.execute(insert(_table).values(revision=revision, digest=digest(path)))


def edited(connection: Connection, files: Mapping[str, Path]) -> list[str]:
    """Applied revisions whose file says something else now. Those applied before this was kept are not known."""
    if not inspect(connection).has_table(DIGESTS):
        return []
    known = connection.execute(select(_table.c.revision, _table.c.digest)).all()
    return sorted(name for name, was in known if name in files and digest(files[name]) != was)
