"""What a session may store, given whose rows it is about."""

from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from typing import Any
from uuid import UUID

from sqlalchemy import Insert, Update, inspect
from sqlalchemy.orm import FromStatement, ORMExecuteState, Session

from ._models import TenantScoped
from ._scope import ForeignTenant, Scope, TenantMissing, scope_of


def check_write(state: ORMExecuteState, scope: Scope | None) -> None:
    """Refuse an ORM INSERT or UPDATE that would give rows to another tenant; keep its ON CONFLICT to the own one's.

    Raises:
        TenantMissing: The session has no tenant.
        ForeignTenant: It would store a row of another tenant, or one of which that cannot be told.
    """
    model = _model_written_to(state)
    if model is None:
        return
    if scope is None:
        raise TenantMissing(model.__name__)
    _check(state, model, scope.tenant)


def check_attach(session: Session, row: object) -> None:
    """Refuse an object that another session has read, for another tenant: refreshed here, it would show what is new.

    Raises:
        TenantMissing: The session has no tenant.
        ForeignTenant: The object belongs to another.
    """
    if not isinstance(row, TenantScoped) or inspect(row).key is None:
        return
    scope = scope_of(session)
    if scope is None:
        raise TenantMissing(type(row).__name__)
    # An attribute that is not loaded could only be asked for here, where nobody waits.
    if scope.tenant is not None and vars(row).get("tenant_id") != scope.tenant:
        raise ForeignTenant(f"This {type(row).__name__} belongs to another tenant than this session.")


def check_flush(session: Session, _: object, __: object) -> None:
    """Give new rows to the session's tenant, and refuse to store those of another.

    Raises:
        TenantMissing: The session has no tenant.
        ForeignTenant: A row belongs to another tenant, or would be moved to one.
    """
    scope = scope_of(session)
    for row in (*session.new, *session.dirty, *session.deleted):
        if not isinstance(row, TenantScoped):
            continue
        model = type(row).__name__
        if scope is None:
            raise TenantMissing(model)
        state = inspect(row)
        given: UUID | None = row.tenant_id
        if row in session.new and given is None:
            row.tenant_id = _default(model, scope)
        elif state.persistent and state.attrs.tenant_id.history.added:
            raise ForeignTenant(f"{model}.tenant_id decides to whom a row belongs; it cannot be changed.")
        if scope.tenant is not None and row.tenant_id != scope.tenant:
            raise ForeignTenant(f"This {model} belongs to another tenant than this session.")


def _default(model: str, scope: Scope) -> UUID:
    if scope.tenant is None:
        raise ForeignTenant(f"A session across tenants cannot know whose this {model} is. Give it a tenant_id.")
    return scope.tenant


def _model_written_to(state: ORMExecuteState) -> type[TenantScoped] | None:
    mapper = state.bind_mapper
    if mapper is None or not (state.is_insert or state.is_update) or not issubclass(mapper.class_, TenantScoped):
        return None
    return mapper.class_


def _check(state: ORMExecuteState, model: type[TenantScoped], tenant: UUID | None) -> None:
    statement: Any = state.statement
    if isinstance(statement, FromStatement):
        statement = statement.element
    if isinstance(statement, Update):
        _check_update(statement, state.parameters, model, tenant)
    elif isinstance(statement, Insert) and tenant is not None:
        given = set(_tenants_of(statement, state.parameters))
        if given != {tenant}:
            raise ForeignTenant(f"Every row of insert({model.__name__}) must name the session's own tenant_id.")
        state.statement = _conflict_within(state.statement, model, tenant)


def _check_update(statement: Any, parameters: Any, model: type[TenantScoped], tenant: UUID | None) -> None:
    rows: Sequence[Mapping[Any, Any]] = parameters if isinstance(parameters, list) else [parameters or {}]
    sets = [statement._values or {}, *rows]  # noqa: SLF001 -- nobody else says what is set
    if any(_name(key) == "tenant_id" for values in sets for key in values):
        raise ForeignTenant(f"{model.__name__}.tenant_id decides to whom a row belongs; it cannot be changed.")
    if isinstance(parameters, list) and tenant is not None:
        raise ForeignTenant(
            f"update({model.__name__}) of rows by primary key cannot be narrowed to a tenant. Change objects, or write "
            "update(…).where(…)."
        )


def _tenants_of(statement: Any, parameters: Any) -> Iterator[Any]:
    """The tenant of each row that an INSERT would add; None where it cannot be told."""
    if statement.select is not None:
        yield None
        return
    rows: Sequence[Mapping[Any, Any]] = parameters if isinstance(parameters, list) else [parameters or {}]
    whole = _tenant_in(statement._values or {})  # noqa: SLF001 -- nobody else says what is inserted
    for many in statement._multi_values:  # noqa: SLF001 -- as above
        yield from map(_tenant_in, many)
    if not statement._multi_values:  # noqa: SLF001 -- as above
        for row in rows:
            yield _tenant_in(row) or whole


def _tenant_in(values: Mapping[Any, Any]) -> Any:
    for key, value in values.items():
        if _name(key) == "tenant_id":
            return getattr(value, "value", value)
    return None


def _name(key: Any) -> str:
    return str(getattr(key, "key", key))


def _conflict_within(statement: Any, model: type[TenantScoped], tenant: UUID) -> Any:
    """The INSERT, whose ON CONFLICT DO UPDATE changes no row of another tenant, whatever it is that conflicts."""
    if isinstance(statement, FromStatement):
        inner = _conflict_within(statement.element, model, tenant)
        return statement if inner is statement.element else _with(statement, element=inner)
    clause = statement._post_values_clause  # noqa: SLF001 -- nobody else says what happens on a conflict
    sets = getattr(clause, "update_values_to_set", None)
    if sets is None:
        return statement
    # `excluded.tenant_id` is the one that was to be inserted, and so the session's own.
    if any(_name(key) == "tenant_id" and _name(value) != "tenant_id" for key, value in sets.items()):
        raise ForeignTenant(f"{model.__name__}.tenant_id decides to whom a row belongs; it cannot be changed.")
    own = model.__table__.c.tenant_id == tenant  # type: ignore[attr-defined]  # of every mapped class
    where = own if clause.update_whereclause is None else clause.update_whereclause & own
    return _with(statement, _post_values_clause=_with(clause, update_whereclause=where))


def _with(construct: Any, **changes: Any) -> Any:
    changed = construct._generate() if hasattr(construct, "_generate") else copy(construct)  # noqa: SLF001 -- its own copy
    vars(changed).update(changes)
    # A copy would hand on the key under which SQL was cached for what it was copied from.
    vars(changed).pop("_generate_cache_key", None)
    return changed
