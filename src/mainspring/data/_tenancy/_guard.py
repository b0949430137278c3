"""A session keeps to its tenant, so that no query can forget to ask: without an answer, it refuses to run."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import Boolean, event
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import FromStatement, ORMExecuteState, Session, with_loader_criteria
from sqlalchemy.orm.interfaces import ORMOption
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import TextClause
from sqlalchemy.sql.functions import FunctionElement

from mainspring.data._base import Base

from ._models import TenantScoped
from ._scope import ForeignTenant, TenantMissing, scope_of, tell_database
from ._writes import check_attach, check_flush, check_write


def keep_to_tenant(session_class: type[Session]) -> None:
    """Make the sessions of a class keep to their tenant, in what they read and in what they store."""
    event.listen(session_class, "do_orm_execute", _narrow)
    event.listen(session_class, "before_attach", check_attach)
    event.listen(session_class, "before_flush", check_flush)
    event.listen(session_class, "after_begin", tell_database)


def check_bulk(session: AsyncSession, model: type[Base], only: Mapping[str, Any]) -> None:
    """Refuse a change of many rows, which no event tells of, unless all of them are the session's tenant's.

    Raises:
        TenantMissing: The session has no tenant.
        ForeignTenant: The rows are not said to be its own.
    """
    plain: type[Base] = model
    if not issubclass(plain, TenantScoped):
        return
    scope = scope_of(session.sync_session)
    if scope is None:
        raise TenantMissing(model.__name__)
    if scope.tenant is not None and only.get("tenant_id") != scope.tenant:
        raise ForeignTenant(f"Many rows of {model.__name__} at once: say whose they are, only={{'tenant_id': …}}.")


def may_read_directly(model: type[Base], only: Mapping[str, Any], session: AsyncSession) -> bool:
    """Whether a statement on a model that no session sees keeps to the session's tenant all the same: because it asks
    for its rows alone, and PostgreSQL need not be told.
    """
    plain: type[Base] = model
    if not issubclass(plain, TenantScoped):
        return True
    scope = scope_of(session.sync_session)
    if scope is None or scope.row_level_security:
        return False
    return scope.tenant is None or only.get("tenant_id") == scope.tenant


class _no_tenant(FunctionElement[bool]):  # noqa: N801 -- it stands where a function would
    """In the place of a criterion that cannot be written; refuses to become SQL, so that whatever needs it fails."""

    type = Boolean()
    inherit_cache = True


@compiles(_no_tenant)
def _compile(criterion: _no_tenant, _: SQLCompiler, **__: Any) -> str:
    (column,) = criterion.clauses
    owner = column._annotations.get("parententity")  # noqa: SLF001 -- the only place where a column says whose it is
    raise TenantMissing(owner.mapper.class_.__name__ if owner is not None else str(column))


_REFUSED = with_loader_criteria(TenantScoped, lambda model: _no_tenant(model.tenant_id), include_aliases=True)


def _own(tenant: UUID) -> ORMOption:
    return with_loader_criteria(TenantScoped, lambda model: model.tenant_id == tenant, include_aliases=True)


def _narrow(state: ORMExecuteState) -> None:
    # Attributes of an object at hand are no query, and eager loads have inherited the option.
    eager = state.is_relationship_load and state.lazy_loaded_from is None
    # A service without tenants pays nothing.
    if state.is_column_load or eager or not TenantScoped.__subclasses__():
        return
    scope = scope_of(state.session)
    check_write(state, scope)
    if scope is None:
        _refuse_text(state)
        state.statement = state.statement.options(_REFUSED)
    elif scope.tenant is not None:
        _refuse_text(state)
        state.statement = state.statement.options(_own(scope.tenant))


def _refuse_text(state: ORMExecuteState) -> None:
    statement: Any = state.statement
    if not isinstance(statement, FromStatement) or not isinstance(statement.element, TextClause):
        return
    for mapper in state.all_mappers:
        if issubclass(mapper.class_, TenantScoped):
            raise ForeignTenant(f"A text cannot be narrowed to one tenant's {mapper.class_.__name__}; write select(…).")
