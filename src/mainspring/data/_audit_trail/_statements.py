"""Statements over audited rows that go past the objects: refused, recorded as a whole, or taken apart."""

from typing import Any

from sqlalchemy import Result, Select, event, select
from sqlalchemy.orm import FromStatement, Mapper, ORMExecuteState, Session

from mainspring.data._session import AsyncWriteSession
from mainspring.data._soft_delete import including_deleted
from mainspring.data._upsert import UPSERT, Upsert
from mainspring.errors import ConcurrentUpdate
from mainspring.kernel import new_id

from ._audited import Watched, model_of, watched
from ._listening import loaded, recorder_for
from ._recorder import Change, Recorder
from ._values import identity_of, shown

_IN_BULK = "mainspring_audited_in_bulk"


def audited_in_bulk(reason: str) -> dict[str, Any]:
    """Execution options for a statement that changes rows of an audited model without loading them:
    `session.execute(update(Invoice).values(…), execution_options=audited_in_bulk("prices of 2027"))`.

    Without them such a statement is refused. With them it leaves one entry, with its text, without its parameters, the
    number of rows and the reason: the rows themselves get none.

    Raises:
        ValueError: The reason is empty.
    """
    if not reason.strip():
        raise ValueError("audited_in_bulk() wants the reason, for those who read the audit trail later.")
    return {_IN_BULK: reason.strip()}


@event.listens_for(AsyncWriteSession.sync_session_class, "do_orm_execute")
def _execute(state: ORMExecuteState) -> Result[Any] | None:
    statement: Any = state.statement
    if isinstance(statement, FromStatement):
        statement = statement.element
    model = model_of(statement.table) if statement.is_dml else None
    found = watched(model) if model is not None else None
    recorder = recorder_for(state.session, model) if model is not None else None
    if model is None or found is None or recorder is None:
        return None
    upsert: Upsert | None = state.execution_options.get(UPSERT)
    if upsert is not None:
        return _Upserting(state, model.__mapper__, found, upsert).run(recorder)
    reason = state.execution_options.get(_IN_BULK)
    if reason is None:
        raise TypeError(
            f"{model.__name__} is audited, and a statement over its rows would leave no trace of what each of them was. "
            "Change the objects (Store.add_many, Store.update, Store.delete), or give the statement "
            "execution_options=audited_in_bulk(reason), which records the statement itself."
        )
    return _bulk(state, recorder, found, reason)


def _bulk(state: ORMExecuteState, recorder: Recorder, found: Watched, reason: str) -> Result[Any]:
    statement: Any = state.statement
    text = str(statement.compile(dialect=state.session.get_bind().dialect))
    result = state.invoke_statement()
    after = {"statement": shown(text), "rows": getattr(result, "rowcount", None), "reason": reason}
    # A chain of its own: statements over many rows have no row whose lock would put them in order.
    recorder.record(state.session, [Change(found.entity_type, f"bulk:{new_id()}", "bulk", None, after, is_first=True)])
    return result


class _Upserting:
    """Locks the row that is there, or else makes it; only then is it known what it was before."""

    def __init__(self, state: ORMExecuteState, mapper: Mapper[Any], found: Watched, upsert: Upsert) -> None:
        self._state = state
        self._mapper = mapper
        self._found = found
        self._upsert = upsert

    def run(self, recorder: Recorder) -> Result[Any]:
        """The result of the statement, recorded.

        Raises:
            ConcurrentUpdate: Somebody has made and removed the row in between.
        """
        before = self._before()
        result: Any = None
        if before is None:
            result = self._state.invoke_statement(statement=self._upsert.attempt).freeze()
            if not result.data:
                before = self._before()
                if before is None:
                    raise ConcurrentUpdate("The row was made and removed at the same moment; please try again.")
        if before is not None:
            result = self._state.invoke_statement().freeze()
        stored = result().scalars().one_or_none()
        changes = self._changes(stored, before) if stored is not None else []
        if changes:
            recorder.record(self._state.session, changes)
        answer: Result[Any] = result()
        return answer

    def _before(self) -> dict[str, Any] | None:
        model = self._mapper.class_
        statement: Select[Any] = select(*(getattr(model, name) for name in self._found.names))
        session: Session = self._state.session
        found = session.execute(
            statement.where(self._upsert.match).with_for_update(), execution_options=including_deleted()
        )
        row = found.mappings().one_or_none()
        return dict(row) if row is not None else None

    def _changes(self, stored: Any, before: dict[str, Any] | None) -> list[Change]:
        found = self._found
        now = loaded(found, stored)
        identity = identity_of(self._mapper, stored, None)
        if before is None:
            after = {name: value for name, value in now.items() if value is not None}
            return [Change(found.entity_type, identity, "create", None, found.shown(after))]
        after = {name: value for name, value in now.items() if value != before[name]}
        was = {name: before[name] for name in after}
        action = found.action(was, after)
        return [Change(found.entity_type, identity, action, found.shown(was), found.shown(after))] if after else []
