"""Where the ORM tells what it writes: events of audited mappers, and nothing for other models."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, event, null
from sqlalchemy.orm import Mapper, Session, UOWTransaction, object_session
from sqlalchemy.orm.attributes import get_history, instance_state
from sqlalchemy.orm.base import PASSIVE_NO_INITIALIZE
from sqlalchemy.sql.elements import ClauseElement

from mainspring.data._session import AsyncWriteSession

from ._audited import Audited, Watched, watch, watched
from ._models import Action
from ._recorder import Change, Recorder, forget_heads, recorder_of
from ._values import identity_of

type _What = tuple[Action, Mapping[str, Any] | None, Mapping[str, Any] | None]

_CHANGES = "mainspring.audit.changes"
_FRESH = "mainspring.audit.fresh"
_COMPUTED = "mainspring.audit.computed"


def listen_to(model: type[Any]) -> None:
    """Record a model that does not say so itself, on databases whose audit trail names it."""
    if watched(model) is None:
        watch(model.__mapper__)
        for name, listener in _MAPPER_EVENTS:
            event.listen(model, name, listener, propagate=True)


def _before_insert(mapper: Mapper[Any], _: Connection, target: Any) -> None:
    session = object_session(target)
    # A UUID that is made now is nobody's yet. A number may be: SQLite gives the last one again after a deletion.
    is_uuid = len(mapper.primary_key) == 1 and mapper.primary_key[0].type.python_type is UUID
    if session is not None and is_uuid and mapper.primary_key_from_instance(target)[0] is None:
        session.info.setdefault(_FRESH, set()).add(id(target))


def _after_insert(mapper: Mapper[Any], _: Connection, target: Any) -> None:
    found = watched(mapper.class_)
    if found is not None:
        after = {name: value for name, value in loaded(found, target).items() if value is not None}
        _note(mapper, target, found, ("create", None, after))


def _before_update(mapper: Mapper[Any], _: Connection, target: Any) -> None:
    # What the database computes (`deleted_at = utc_now()`) has come back with its result afterwards, as if it had never
    # been another.
    found = watched(mapper.class_)
    session = object_session(target)
    for name, value in loaded(found, target).items() if found is not None and session is not None else ():
        if isinstance(value, ClauseElement) and session is not None:
            history = get_history(target, name, PASSIVE_NO_INITIALIZE)
            session.info.setdefault(_COMPUTED, {}).setdefault(id(target), {})[name] = list(history.deleted)


def _after_update(mapper: Mapper[Any], _: Connection, target: Any) -> None:
    found = watched(mapper.class_)
    session = object_session(target)
    computed: dict[str, list[Any]] = session.info.get(_COMPUTED, {}).pop(id(target), {}) if session is not None else {}
    before: dict[str, Any] = {name: was[0] for name, was in computed.items() if was}
    after: dict[str, Any] = {name: instance_state(target).dict.get(name, null()) for name in computed}
    for name in found.names if found is not None else ():
        history = get_history(target, name, PASSIVE_NO_INITIALIZE)
        if history.added:
            after[name] = history.added[0]
            if history.deleted:
                before[name] = history.deleted[0]
    if found is not None and after:
        _note(mapper, target, found, (found.action(before, after), before, after))


def _after_delete(mapper: Mapper[Any], _: Connection, target: Any) -> None:
    found = watched(mapper.class_)
    if found is not None:
        _note(mapper, target, found, ("delete", loaded(found, target), None))


_MAPPER_EVENTS = (
    ("before_insert", _before_insert),
    ("after_insert", _after_insert),
    ("before_update", _before_update),
    ("after_update", _after_update),
    ("after_delete", _after_delete),
)
for _name, _listener in _MAPPER_EVENTS:
    event.listen(Audited, _name, _listener, propagate=True)


def _note(mapper: Mapper[Any], target: Any, found: Watched, what: _What) -> None:
    """Keep a change until the end of the flush, when all of them are written at once."""
    session = object_session(target)
    if session is None or recorder_for(session, mapper.class_) is None:
        return
    action, before, after = what
    identity = identity_of(mapper, target, instance_state(target).identity)
    is_first = id(target) in session.info.get(_FRESH, ())
    change = Change(found.entity_type, identity, action, found.shown(before), found.shown(after), is_first=is_first)
    session.info.setdefault(_CHANGES, []).append(change)


def loaded(found: Watched, target: Any) -> dict[str, Any]:
    """What is recorded of an object, as far as it is at hand."""
    values = instance_state(target).dict
    return {name: values[name] for name in found.names if name in values}


def recorder_for(session: Session, model: type[Any]) -> Recorder | None:
    """What records changes of a model in a session; None if they are not audited there.

    Raises:
        RuntimeError: The model wants to be audited, and there is no audit trail.
    """
    recorder = recorder_of(session)
    if recorder is not None and model in recorder.also:
        return recorder
    if not issubclass(model, Audited):
        return None
    if recorder is None:
        raise RuntimeError(
            f"{model.__name__} is Audited, and this database has no audit trail. List audit_trail_module(settings) in "
            "create_app(modules=…), or call AuditTrail.on(database, secret)."
        )
    return recorder


@event.listens_for(AsyncWriteSession.sync_session_class, "before_flush")
def _before_flush(session: Session, _: UOWTransaction, __: Any) -> None:
    # A flush that failed has left what it had noted; its transaction is gone.
    for key in (_CHANGES, _FRESH, _COMPUTED):
        session.info.pop(key, None)


@event.listens_for(AsyncWriteSession.sync_session_class, "after_flush")
def _after_flush(session: Session, _: UOWTransaction) -> None:
    changes = session.info.pop(_CHANGES, None)
    session.info.pop(_FRESH, None)
    recorder = recorder_of(session) if changes else None
    if recorder is not None:
        recorder.record(session, changes)


event.listen(AsyncWriteSession.sync_session_class, "after_soft_rollback", forget_heads)
event.listen(AsyncWriteSession.sync_session_class, "after_commit", forget_heads)
