"""Whose rows a request is about."""

from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends
from fastapi.params import Depends as Dependency
from fastapi.requests import HTTPConnection

from ._dependencies import ReadSession, WriteSession, database_of
from ._idempotency import idempotent
from ._session import AsyncReadSession, AsyncWriteSession
from ._tenancy import for_tenant


def _nobody() -> str:
    return ""


class Tenancy:
    """Sessions that know the tenant of their request. A service makes one, beside what says who is asking.

        async def tenant_of(user: CurrentUser) -> UUID:
            return user.organisation_id


        TENANCY = Tenancy(tenant_of)
        TenantReadSession = Annotated[AsyncReadSession, Depends(TENANCY.read_session, scope="function")]
        TenantWriteSession = Annotated[AsyncWriteSession, Depends(TENANCY.write_session, scope="function")]

    The tenant travels with the session and in no context variable: FastAPI runs plain `def` dependencies in threads, each
    in a copy of the context, so what one of them set would be lost, and what a background task inherited would be there
    by accident.

    Args:
        tenant_of: A dependency that gives the tenant, or raises: `PermissionDenied` where there is none.
        row_level_security: Tell PostgreSQL too, for the policies of `enable_row_level_security`. Off by default; on, it
            costs a round trip per transaction, and a session that reads is one of its own, in a transaction.
    """

    def __init__(self, tenant_of: Callable[..., Any], *, row_level_security: bool = False) -> None:
        self.read_session: Callable[..., AsyncIterator[AsyncReadSession]] = (
            _told_reading(tenant_of) if row_level_security else _reading(tenant_of)
        )
        """A dependency: the request's session that reads, for rows of the tenant."""
        self.write_session: Callable[..., Any] = _writing(tenant_of, row_level_security=row_level_security)
        """A dependency: the request's unit of work, for rows of the tenant. Whoever else takes the request's
        `WriteSession` gets the same one, and so no other tenant's rows either."""
        self._tenant_of = tenant_of

    def idempotent(self, *, by: Callable[..., Any] | None = None, required: bool = False) -> Dependency:
        """As `mainspring.data.idempotent`, with keys that belong to the tenant: a person who works for two of them and
        sends a key again is not answered with what the other one was.
        """

        def holder(
            tenant: Annotated[UUID, Depends(self._tenant_of)], who: Annotated[Any, Depends(by or _nobody)]
        ) -> str:
            return f"{tenant} {who}"

        return idempotent(by=holder, required=required)


def _reading(tenant_of: Callable[..., Any]) -> Callable[..., Any]:
    async def session(session: ReadSession, tenant: Annotated[UUID, Depends(tenant_of)]) -> AsyncReadSession:
        return await for_tenant(session, tenant)

    return session


def _told_reading(tenant_of: Callable[..., Any]) -> Callable[..., AsyncIterator[AsyncReadSession]]:
    # Not the request's own: what has read before, to learn who is asking, may have done so without a transaction.
    async def session(
        connection: HTTPConnection, tenant: Annotated[UUID, Depends(tenant_of)]
    ) -> AsyncIterator[AsyncReadSession]:
        async with database_of(connection).read() as session:
            yield await for_tenant(session, tenant, row_level_security=True)

    return session


def _writing(tenant_of: Callable[..., Any], *, row_level_security: bool) -> Callable[..., Any]:
    async def session(session: WriteSession, tenant: Annotated[UUID, Depends(tenant_of)]) -> AsyncWriteSession:
        return await for_tenant(session, tenant, row_level_security=row_level_security)

    return session
