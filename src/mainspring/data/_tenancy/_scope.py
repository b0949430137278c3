"""Whose rows a session is about, and how PostgreSQL is told."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Connection, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session, SessionTransaction

from mainspring.observability import get_logger

TENANT_SETTING = "mainspring.tenant"
"""The setting of PostgreSQL that policies compare `tenant_id` with."""
ACROSS_SETTING = "mainspring.across_tenants"
"""The setting of PostgreSQL that is `on` where policies let every row pass."""

_SCOPE = "mainspring_tenant"
_log = get_logger(__name__)


class TenantMissing(RuntimeError):
    """A session without a tenant met a model whose rows belong to tenants. A defect of the service, not of a request."""

    def __init__(self, model: str) -> None:
        super().__init__(
            f"{model} is TenantScoped, and this session has no tenant. Take a session that knows it (Tenancy), or call "
            "`await for_tenant(session, tenant)`; a task that is about all of them calls `across_tenants`."
        )


class ForeignTenant(RuntimeError):
    """What would be stored belongs, or would then belong, to another tenant than the session's. Nothing is stored."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What a session is about.

    Attributes:
        tenant: Whose rows; None for those of all tenants.
        reason: Why all of them.
        row_level_security: Whether PostgreSQL is told.
    """

    tenant: UUID | None
    reason: str = ""
    row_level_security: bool = False


async def for_tenant[S: AsyncSession](session: S, tenant: UUID, *, row_level_security: bool = False) -> S:
    """Make a session see, and store, rows of one tenant alone; returns it.

        async with database.write() as session:
            notes = NoteStore(await for_tenant(session, tenant))

    Args:
        session: Of a unit of work, or one that reads. What it has read before stays in it.
        tenant: Whose rows. A session has one tenant for life, because it keeps what it has read.
        row_level_security: Also tell PostgreSQL, at the beginning of each transaction, for the policies that
            `enable_row_level_security` has made. It costs a round trip per transaction.

    Raises:
        TypeError: `tenant` is no UUID.
        RuntimeError: The session is about another tenant or all of them, or row-level security is to be told inside a
            savepoint, which would forget it.
    """
    if not isinstance(tenant, UUID):
        raise TypeError(f"A tenant is a UUID, not a {type(tenant).__name__}.")
    await _begin_scope(session, Scope(tenant, row_level_security=row_level_security))
    return session


async def across_tenants[S: AsyncSession](session: S, reason: str, *, row_level_security: bool = False) -> S:
    """Make a session see the rows of all tenants; returns it. For tasks of operators; each use is logged.

    Rows that it stores must say whose they are, and none can be given to another tenant here either.

    Args:
        session: As in `for_tenant`.
        reason: Why, for those who read the log: "monthly invoices".
        row_level_security: As in `for_tenant`.

    Raises:
        ValueError: The reason is empty.
        RuntimeError: As `for_tenant`.
    """
    if not reason.strip():
        raise ValueError("across_tenants() wants the reason why one session may see the rows of all tenants.")
    await _begin_scope(session, Scope(None, reason.strip(), row_level_security))
    _log.info("A session sees all tenants", reason=reason.strip())
    return session


def session_tenant(session: AsyncSession) -> UUID | None:
    """The tenant that a session is about; None where it is about all of them.

    Raises:
        TenantMissing: It has none.
    """
    scope = scope_of(session.sync_session)
    if scope is None:
        raise TenantMissing("What is asked for")
    return scope.tenant


async def _begin_scope(session: AsyncSession, scope: Scope) -> None:
    before = session.info.get(_SCOPE)
    if before is not None and (before.tenant, before.row_level_security) != (scope.tenant, scope.row_level_security):
        raise RuntimeError("This session is about another tenant, or all of them. Open another session.")
    told = scope.row_level_security and session.get_bind().dialect.name == "postgresql"
    if told and session.in_nested_transaction():
        raise RuntimeError("Name the tenant before the savepoint: when it is rolled back, PostgreSQL would forget it.")
    session.info[_SCOPE] = scope
    if before is not None or not told:
        return
    if session.in_transaction():
        await (await session.connection()).run_sync(_tell, scope)
    elif session.get_bind().get_execution_options().get("isolation_level") == "AUTOCOMMIT":
        # What policies compare with holds for a transaction, and in autocommit there is none that lasts.
        await session.connection(execution_options={"isolation_level": "READ COMMITTED"})


def scope_of(session: Session) -> Scope | None:
    """What a session is about; None if nobody has said."""
    scope: Scope | None = session.info.get(_SCOPE)
    return scope


def tell_database(session: Session, transaction: SessionTransaction, connection: Connection) -> None:
    """Tell PostgreSQL at the beginning of a transaction, for its policies."""
    scope = scope_of(session)
    # A savepoint needs no telling: rolled back, it leaves what was told before it.
    if scope is not None and scope.row_level_security and not transaction.nested:
        _tell(connection, scope)


def _tell(connection: Connection, scope: Scope) -> None:
    if connection.dialect.name != "postgresql":
        return
    # Asked of the driver, which knows it whoever has decided it.
    raw = connection.connection.dbapi_connection
    if raw is not None and connection.dialect.detect_autocommit_setting(raw):
        raise RuntimeError("Row-level security needs a transaction, and this connection is in autocommit.")
    across = scope.tenant is None
    name, value = (ACROSS_SETTING, "on") if across else (TENANT_SETTING, str(scope.tenant))
    connection.execute(select(func.set_config(name, value, True)))
