"""Puts recording and rules together: revisions in, findings out."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from alembic.script import Script, ScriptDirectory
from sqlalchemy import MetaData

from . import _columns, _constraints, _history, _indexes, _objects, _transactions
from ._catalog import Catalog
from ._code import sql
from ._findings import Case, Finding, Hit, Step, finding, release, revision
from ._recorded import RecordedRevision, Recording, Statement
from ._recording import record
from ._rules import RULES
from ._sql import qualified

type _Rule = Callable[[Case], Iterator[Hit]]

_COMMANDS: Mapping[str, tuple[_Rule, ...]] = {
    "AT_AddColumn": (_columns.add, _objects.columns),
    "AT_AddConstraint": (_constraints.add,),
    "AT_AlterColumnType": (_columns.change_type,),
    "AT_ColumnDefault": (_columns.default,),
    "AT_DetachPartition": (_indexes.detach,),
    "AT_DropColumn": (_columns.drop,),
    "AT_DropNotNull": (_columns.allow_null,),
    "AT_SetAccessMethod": (_indexes.rewrite_command,),
    "AT_SetLogged": (_indexes.rewrite_command,),
    "AT_SetNotNull": (_columns.require,),
    "AT_SetTableSpace": (_indexes.rewrite_command,),
    "AT_SetUnLogged": (_indexes.rewrite_command,),
    "AT_ValidateConstraint": (_constraints.check,),
}
_STATEMENTS: Mapping[str, tuple[_Rule, ...]] = {
    "alter_domain_stmt": (_constraints.alter_domain,),
    "alter_enum_stmt": (_objects.alter_enum,),
    "alter_object_schema_stmt": (_objects.move,),
    "call_stmt": (_transactions.opaque,),
    "cluster_stmt": (_indexes.rewrite,),
    "create_domain_stmt": (_constraints.create_domain,),
    "create_stmt": (_objects.columns,),
    "delete_stmt": (_transactions.rows,),
    "do_stmt": (_transactions.opaque,),
    "drop_stmt": (_objects.drop, _indexes.drop),
    "dropdb_stmt": (_objects.drop_database,),
    "index_stmt": (_indexes.create,),
    "insert_stmt": (_transactions.rows,),
    "lock_stmt": (_objects.lock,),
    "refresh_mat_view_stmt": (_indexes.refresh,),
    "reindex_stmt": (_indexes.reindex,),
    "rename_stmt": (_objects.rename, _columns.rename),
    "transaction_stmt": (_transactions.by_hand,),
    "truncate_stmt": (_objects.truncate,),
    "update_stmt": (_transactions.rows,),
    "vacuum_stmt": (_indexes.rewrite,),
    "variable_set_stmt": (_transactions.timeout,),
}


@dataclass(frozen=True, slots=True)
class Unused:
    """A waiver that waived nothing."""

    revision: str
    path: str
    line: int
    reason: str


@dataclass(slots=True)
class SafetyReport:
    """What the check of migrations found.

    Attributes:
        checked: Identifiers of the revisions that were looked at.
        findings: What breaks a rule, in the order of the revisions; those with `waived` are waived.
        unused: Waivers that waived nothing.
    """

    checked: tuple[str, ...] = ()
    findings: list[Finding] = field(default_factory=list)
    unused: list[Unused] = field(default_factory=list)

    @property
    def refused(self) -> list[Finding]:
        """What fails the check."""
        return [f for f in self.findings if f.level == "refused" and f.waived is None]

    @property
    def advice(self) -> list[Finding]:
        """What is said and fails the check only when it is strict."""
        return [f for f in self.findings if f.level != "refused" and f.waived is None]

    @property
    def waived(self) -> list[Finding]:
        """What would be refused without a waiver."""
        return [f for f in self.findings if f.waived is not None]

    def passes(self, *, strict: bool = False) -> bool:
        """Whether nothing is refused; strictly also no advice is given and no waiver is unused."""
        return not self.refused and not (strict and (self.advice or self.unused))


@dataclass(frozen=True, slots=True)
class Situation:
    """What the check has to know.

    Attributes:
        metadata: The models; what they map may not be dropped.
        server: The server's version as a number: 140002 for 14.2.
        enabled: Optional rules to look for.
        invalid_indexes: Names of those that the database has.
        edited: Identifiers of applied revisions whose file has changed.
    """

    metadata: MetaData
    server: int
    enabled: AbstractSet[str]
    invalid_indexes: Sequence[str]
    edited: AbstractSet[str]


class Check:
    """One run over a history.

    Args:
        scripts: Where the revisions are.
        modules: The module of each revision.
        situation: What else there is to know.
    """

    def __init__(self, scripts: ScriptDirectory, modules: Mapping[str, str], situation: Situation) -> None:
        self._scripts = scripts
        self._modules = modules
        self._situation = situation
        self._mapped = {
            (f"{t.schema}.{t.name}" if t.schema and t.schema != "public" else t.name): frozenset(
                c.name for c in t.columns
            )
            for t in situation.metadata.tables.values()
        }
        self._report = SafetyReport()

    def run(self, history: Sequence[Script], selected: AbstractSet[str]) -> SafetyReport:
        """Follow the whole history, oldest first, and check the selected revisions."""
        catalog, recorded, hits = Catalog(), list[RecordedRevision](), list[tuple[RecordedRevision, Hit]]()
        for script in history:
            before = deepcopy(catalog) if script.revision in selected else catalog
            one = self._record(script, catalog, downgrade=script.revision in selected)
            recorded.append(one)
            if script.revision in selected:
                self._statements(one, deepcopy(before))
                self._whole(one, before)
        for one in recorded:
            if one.id in selected:
                for hit in _history.unfinished(catalog, one.id):
                    self._add(one, None, hit)
            if one.id in self._situation.edited:
                hits.append((one, _history.edited(one.id, one.path)))
        hits += _history.heads(one for one, script in zip(recorded, history, strict=True) if script.is_head)
        for one, hit in hits:
            self._add(one, None, hit)
        self._database()
        self._report.checked = tuple(one.id for one in recorded if one.id in selected)
        return self._report

    def _record(self, script: Script, catalog: Catalog, *, downgrade: bool) -> RecordedRevision:
        known: dict[str, Any] = {"scripts": self._scripts, "metadata": self._situation.metadata}
        upgrade = record(script, "upgrade", catalog, **known)
        back = record(script, "downgrade", deepcopy(catalog), **known) if downgrade else Recording()
        module = self._modules.get(script.revision, "")
        return RecordedRevision(script.revision, module, script.doc or "", Path(script.path), upgrade, back)

    def _statements(self, one: RecordedRevision, catalog: Catalog) -> None:
        statements = one.upgrade.statements
        for number, this in enumerate(statements):
            around = (statements[:number], statements[number + 1 :])
            if this.note:
                steps = _transactions.opened(this) if this.note[0] == "opaque-sql" else _noted(this)
                self._add(one, this, Hit(this.note[0], this.note[1], steps))
            for hit in self._hits(this, catalog, around):
                self._add(one, this, hit)
            catalog.apply(this)
        for this, hit in _transactions.rerunnable(one.upgrade):
            self._add(one, this, hit)

    def _hits(
        self, this: Statement, catalog: Catalog, around: tuple[list[Statement], list[Statement]]
    ) -> Iterator[Hit]:
        table = qualified(this.node["relation"]) if "relation" in this.node else ""
        case = Case(this, this.node, catalog, table, self._mapped, self._situation.server, *around)
        if not this.kind:
            return
        yield from _objects.long(case)
        yield from _objects.unqualified(case)
        for rule in _STATEMENTS.get(this.kind, ()):
            yield from rule(case)
        for item in this.node.get("cmds", ()) if this.kind == "alter_table_stmt" else ():
            case.node = item["alter_table_cmd"]
            for rule in _COMMANDS.get(case.node["subtype"], ()):
                yield from rule(case)

    def _whole(self, one: RecordedRevision, before: Catalog) -> None:
        for line, call, reason, hit in _history.followed(one):
            self._report.findings.append(
                finding(hit, RULES[hit.rule], one, None, line=line, operation=call, waived=reason)
            )
        for this, hit in _history.downgrade(one, before):
            self._add(one, this, hit)
        for line, waiver in one.upgrade.entered.values():
            if not waiver.used:
                self._report.unused.append(Unused(one.id, str(one.path), line, waiver.reason))

    def _database(self) -> None:
        nowhere = RecordedRevision("", "", "", Path(), Recording(), Recording())
        for name in self._situation.invalid_indexes:
            self._add(nowhere, None, _history.invalid_index(name))

    def _add(self, one: RecordedRevision, this: Statement | None, hit: Hit) -> None:
        rule = RULES[hit.rule]
        if rule.level == "optional" and rule.id not in self._situation.enabled:
            return
        covering = [w for w in this.waivers if w.covers(rule.id)] if this else []
        if covering:
            covering[-1].used = True
        reason = covering[-1].reason if covering else None
        self._report.findings.append(finding(hit, rule, one, this, waived=reason))


def _noted(this: Statement) -> tuple[Step, ...]:
    assert this.note
    if this.note[0] == "several-statements":
        return (revision("One call for each.", sql(this.sql), "# … and so on for the others"),)
    if this.note[0] == "table-copy":
        return (revision('Without recreate="always"; "auto" copies on SQLite only, where it has to.', "pass"),)
    return (release("Correct the statement; `mainspring db upgrade --sql` prints what would be sent."),)
