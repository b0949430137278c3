"""Rows that are marked as deleted are left out of every ORM statement, so that no query can forget to."""

from typing import Any

from sqlalchemy import event
from sqlalchemy.orm import ORMExecuteState, Session, with_loader_criteria
from sqlalchemy.orm.interfaces import ORMOption

from ._base import SoftDeleted

INCLUDE_DELETED = "mainspring_include_deleted"
"""The execution option that lets a statement see marked rows."""

_NOT_DELETED = with_loader_criteria(SoftDeleted, lambda model: model.deleted_at.is_(None), include_aliases=True)


def leave_out_deleted(session_class: type[Session]) -> None:
    """Make the sessions of a class leave marked rows out: of queries, joins, eager loads, updates and deletes."""
    event.listen(session_class, "do_orm_execute", _leave_out)


def including_deleted() -> dict[str, Any]:
    """Execution options for a statement that is meant to see marked rows:
    `session.execute(select(Agent), execution_options=including_deleted())`.
    """
    return {INCLUDE_DELETED: True}


def leaving_out_deleted() -> ORMOption:
    """The option that leaves marked rows out of a statement which no session runs."""
    return _NOT_DELETED


def _leave_out(state: ORMExecuteState) -> None:
    # Attributes of an object at hand are no query, and lazy or eager loads have inherited the option.
    if state.is_column_load or state.is_relationship_load or state.is_insert:
        return
    if not state.execution_options.get(INCLUDE_DELETED):
        state.statement = state.statement.options(_NOT_DELETED)
