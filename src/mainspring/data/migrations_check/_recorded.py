"""What a revision does, as it was recorded."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ._sql import Node

if TYPE_CHECKING:
    from mainspring.data._assured import Waiver


@dataclass(slots=True)
class Statement:
    """One SQL statement, where it stands, and in which transaction it runs.

    Attributes:
        revision: Its revision's identifier.
        kind: Which, in the parser's words; `""` for text that cannot be parsed.
        node: Its parse tree.
        sql: Its text.
        line: Of the revision's file.
        operation: What called for it, as it is written there: `op.create_index`.
        transaction: Number of the transaction within the revision.
        autocommit: Whether it runs outside of transactions.
        waivers: Those entered around it.
        existing_type: The type a column had, where the operation says it.
        note: What the recording itself has to say about it; a rule's identifier and a sentence.
    """

    revision: str
    kind: str
    node: Node
    sql: str
    line: int
    operation: str
    transaction: int
    autocommit: bool
    waivers: "tuple[Waiver, ...]"
    existing_type: str | None = None
    note: tuple[str, str] | None = None

    @property
    def moment(self) -> tuple[str, int]:
        """Revision and transaction."""
        return self.revision, self.transaction


@dataclass(slots=True)
class Recording:
    """One direction of one revision.

    Attributes:
        statements: In order.
        seen: Lines of the file from which something was recorded.
        transactions: How many; the version is written in the last, unless that one is autocommit.
        failure: What stopped it half way, and where.
        entered: All waivers entered, whether used or not.
    """

    statements: list[Statement] = field(default_factory=list)
    seen: set[int] = field(default_factory=set)
    transactions: int = 0
    failure: tuple[int, str] | None = None
    entered: "dict[int, tuple[int, Waiver]]" = field(default_factory=dict)


@dataclass(slots=True)
class RecordedRevision:
    """A revision in both directions.

    Attributes:
        id: Its identifier.
        module: The module it belongs to.
        message: What it does.
        path: Its file.
        upgrade: What it does to the schema.
        downgrade: What undoes it.
    """

    id: str
    module: str
    message: str
    path: Path
    upgrade: Recording
    downgrade: Recording
