"""What the check finds."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from ._catalog import Catalog
from ._recorded import RecordedRevision, Statement
from ._rules import Level, Rule
from ._sql import Node, qualified


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a safe way.

    Attributes:
        kind: `revision` is the body of an `upgrade()`; `release` is something to do between two of them; `rest` is
            the revision as it is, without the operation.
        title: What it does.
        code: Python of the body; for a release, empty or what to write in the models.
    """

    kind: Literal["revision", "release", "rest"]
    title: str
    code: str = ""


def revision(title: str, *lines: str) -> Step:
    """A step that is a revision of its own."""
    return Step("revision", title, "\n".join(lines))


def release(title: str, code: str = "") -> Step:
    """A step that is no migration."""
    return Step("release", title, code)


REST = Step("rest", "Leave this operation out of the revision; the rest stays.")


@dataclass(frozen=True, slots=True)
class Hit:
    """A rule that a statement breaks, what exactly, and how to do it safely."""

    rule: str
    detail: str
    steps: tuple[Step, ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """A hit with all that a report says about it.

    Attributes:
        rule: The rule's identifier.
        level: `refused`, `advice` or `optional`.
        revision: The revision's identifier.
        path: Its file, or empty.
        line: Of the file; 0 for the whole.
        operation: What called for it: `op.create_index`.
        sql: What PostgreSQL would get.
        detail: What is done to what.
        why: What goes wrong.
        lock: The lock that is taken, if that is what is wrong.
        held: For how long.
        recipe: A safe way.
        waived: The reason of the waiver around it, if there is one.
    """

    rule: str
    level: Level
    revision: str
    path: str
    line: int
    operation: str
    sql: str
    detail: str
    why: str
    lock: str
    held: str
    recipe: tuple[Step, ...]
    waived: str | None = None


@dataclass(slots=True)
class Case:
    """A statement, or one command of an ALTER TABLE, and what is known when it runs.

    Attributes:
        statement: It.
        node: The command's parse tree, or the statement's own.
        catalog: The schema before it.
        table: The table it alters, with its schema unless that is the usual one.
        mapped: Columns by table, as the models of the code have them.
        server: The server's version as a number: 140002 for 14.2.
        earlier: Statements of the revision before it.
        later: Statements of the revision after it.
    """

    statement: Statement
    node: Node
    catalog: Catalog
    table: str
    mapped: dict[str, frozenset[str]]
    server: int
    earlier: list[Statement] = field(default_factory=list)
    later: list[Statement] = field(default_factory=list)

    @property
    def revision(self) -> str:
        """The revision's identifier."""
        return self.statement.revision

    @property
    def existing(self) -> bool:
        """Whether the table is there already, for others to wait for."""
        return not self.catalog.is_new(self.table, self.revision)

    def exists(self, relation: Node) -> bool:
        """The same for a table that the statement names."""
        return not self.catalog.is_new(qualified(relation), self.revision)

    def same_transaction(self, others: list[Statement]) -> Iterator[Statement]:
        """Those of the others that run in the same transaction."""
        if not self.statement.autocommit:
            yield from (other for other in others if other.moment == self.statement.moment)


def finding(hit: Hit, rule: Rule, recorded: RecordedRevision, statement: Statement | None, **known: Any) -> Finding:
    """A finding of a hit."""
    return Finding(
        rule=rule.id,
        level=rule.level,
        revision=recorded.id,
        path=str(recorded.path) if recorded.id else "",
        line=statement.line if statement else known.get("line", 0),
        operation=statement.operation if statement else known.get("operation", ""),
        sql=statement.sql if statement else "",
        detail=hit.detail,
        why=rule.why,
        lock=rule.lock,
        held=rule.held,
        recipe=hit.steps,
        waived=known.get("waived"),
    )
