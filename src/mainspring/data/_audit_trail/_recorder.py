"""Writes entries: reads where the chains end, and adds a link to each with one INSERT."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import JSON, Dialect, Engine, Select, bindparam, func, insert, select
from sqlalchemy.orm import Session

from mainspring.kernel import Clock, new_id
from mainspring.observability import current_context

from ._actors import SYSTEM, current_actor, current_reason
from ._keys import AuditKeys
from ._models import Action, AuditEntry, AuditSeal, canonical

_HEADS = "mainspring.audit.heads"
_OLD_SNAPSHOTS = frozenset({"REPEATABLE READ", "SERIALIZABLE"})

_entries: Any = AuditEntry.__table__
_newest = _entries.alias("newest")
_epoch = select(func.coalesce(func.max(AuditSeal.number), 0)).scalar_subquery()
_insert = insert(_entries).values(epoch=_epoch)
_last = (
    select(_entries.c.sequence, _entries.c.digest, _entries.c.epoch)
    .where(_entries.c.entity_type == bindparam("type"), _entries.c.entity_id == bindparam("key"))
    .order_by(_entries.c.sequence.desc())
    .limit(1)
)


@dataclass(frozen=True, slots=True)
class Change:
    """What became of a row.

    Attributes:
        entity_type: Its table.
        entity_id: Its primary key.
        action: What was done.
        before: What it was, by attribute.
        after: What it is.
        is_first: Whether its key is certainly new, so that no chain of it has to be looked for.
    """

    entity_type: str
    entity_id: str
    action: Action
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None
    is_first: bool = False


@dataclass(frozen=True, slots=True)
class _Head:
    sequence: int
    digest: bytes
    epoch: int | None


class Recorder:
    """The audit trail of one database, as its sessions see it.

    Args:
        keys: For the digests.
        clock: The time.
        require_actor: Refuse changes for which nobody was named.
        also: Models that are audited although they do not say so.
    """

    def __init__(self, keys: AuditKeys, *, clock: Clock, require_actor: bool, also: Iterable[type[Any]]) -> None:
        self._keys = keys
        self._clock = clock
        self._require_actor = require_actor
        self.also = frozenset(also)

    def record(self, session: Session, changes: Sequence[Change]) -> None:
        """Add an entry for each change, in the session's transaction.

        Raises:
            RuntimeError: Nobody was named who acts, and that is required.
            TypeError: The transaction is stricter than READ COMMITTED.
        """
        _refuse_old_snapshots(session)
        heads: dict[tuple[str, str], _Head] = session.info.setdefault(_HEADS, {})
        self._find_heads(session, [change for change in changes if not change.is_first], heads)
        shared = self._shared()
        rows = []
        for change in changes:
            key = (change.entity_type, change.entity_id)
            rows.append(self._row(change, heads.get(key), shared))
            # Its epoch is not known here: the database decides it when the row is inserted.
            heads[key] = _Head(rows[-1]["sequence"], rows[-1]["digest"], None)
        session.connection().execute(_insert, rows if len(rows) > 1 else rows[0])

    def _shared(self) -> dict[str, Any]:
        actor = current_actor()
        if actor is None and self._require_actor:
            raise RuntimeError(
                "Nobody is named who makes this change, and this audit trail requires it. "
                "Open the unit of work inside `with acting_as(Actor(…)):`, or call act_as() in a dependency."
            )
        actor = actor or SYSTEM
        context = current_context()
        return {
            "occurred_at": self._clock.now(),
            "actor_kind": actor.kind[:32],
            "actor_id": actor.id[:200],
            "request_id": context.request_id[:200] if context and context.request_id else None,
            "trace_id": context.trace_id if context else None,
            "reason": current_reason(),
            "key_id": self._keys.current,
        }

    def _row(self, change: Change, head: _Head | None, shared: Mapping[str, Any]) -> dict[str, Any]:
        row = {
            **shared,
            "id": new_id(),
            "entity_type": change.entity_type,
            "entity_id": change.entity_id,
            "sequence": head.sequence + 1 if head else 1,
            "action": change.action,
            "previous": head.digest if head else None,
            "previous_epoch": head.epoch if head else None,
        }
        texts = {"before": _text(change.before), "after": _text(change.after)}
        return {
            **row,
            "before": change.before,
            "after": change.after,
            "digest": self._keys.digest("entry", row | texts),
        }

    def _find_heads(self, session: Session, changes: Sequence[Change], heads: dict[tuple[str, str], _Head]) -> None:
        wanted: defaultdict[str, dict[str, None]] = defaultdict(dict)
        for change in changes:
            if (change.entity_type, change.entity_id) not in heads:
                wanted[change.entity_type][change.entity_id] = None
        connection = session.connection()
        for entity_type, keys in wanted.items():
            if len(keys) == 1:
                (key,) = keys
                row = connection.execute(_last, {"type": entity_type, "key": key}).one_or_none()
                if row is not None:
                    heads[entity_type, key] = _Head(row.sequence, row.digest, row.epoch)
                continue
            statement = _last_of_many(connection.dialect.name)
            rows = connection.execute(statement, {"type": entity_type, "keys": list(keys)})
            heads |= {(entity_type, row.key): _Head(row.sequence, row.digest, row.epoch) for row in rows}


def _refuse_old_snapshots(session: Session) -> None:
    bind = session.get_bind()
    if bind.dialect.name != "sqlite" and bind.get_execution_options().get("isolation_level") in _OLD_SNAPSHOTS:
        raise TypeError(
            "Audited rows are changed in a transaction stricter than READ COMMITTED. It may not see the newest seal, and "
            "its entries would look like ones that were added later. Take a WriteSession."
        )


def forget_heads(session: Session, *_: Any) -> None:
    """What was read within a transaction, or a savepoint, does not hold after it."""
    session.info.pop(_HEADS, None)


# By dialect, which an engine shares with those that are it with other options, a stricter isolation say.
_recorders: WeakKeyDictionary[Dialect, Recorder] = WeakKeyDictionary()


def attach(engine: Engine, recorder: Recorder) -> None:
    """Make the sessions of an engine record; the latest one counts."""
    _recorders[engine.dialect] = recorder


def recorder_of(session: Session) -> Recorder | None:
    """What records the changes of a session, if anything does."""
    return _recorders.get(session.get_bind().dialect)


def _last_of_many(dialect: str) -> Select[Any]:
    # One parameter for all keys, so that the statement is built and planned once; and for each key one look into the
    # index, however long its chain is. A join SQLite would begin with all entries of the table.
    unnest = func.json_array_elements_text if dialect == "postgresql" else func.json_each
    keys = unnest(bindparam("keys", type_=JSON)).table_valued("value").alias("wanted")
    newest = (
        select(_newest.c.id)
        .where(_newest.c.entity_type == bindparam("type"), _newest.c.entity_id == keys.c.value)
        .order_by(_newest.c.sequence.desc())
        .limit(1)
        .scalar_subquery()
    )
    found = select(_entries.c.entity_id.label("key"), _entries.c.sequence, _entries.c.digest, _entries.c.epoch)
    return found.where(_entries.c.id.in_(select(newest).select_from(keys)))


def _text(value: Mapping[str, Any] | None) -> str | None:
    return None if value is None else canonical(value)
