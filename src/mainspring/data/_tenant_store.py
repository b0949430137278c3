"""Stores of one tenant's rows."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from ._base import Base
from ._session import AsyncReadSession
from ._store import Store
from ._tenancy import TenantScoped, session_tenant


class TenantStore[M: Base](Store[M]):
    """Rows of one model and of one tenant: the session's. Others do not exist for it, whatever the method.

        class NoteStore(TenantStore[Note]):
            def __init__(self, session: AsyncReadSession) -> None:
                super().__init__(Note, session)

    New rows get the tenant, and cursors are bound to it: with another tenant's the answer is `InvalidCursor`. For
    `upsert` name `tenant_id` in `on`, as it is part of the unique constraint.

    Args:
        model: A `TenantScoped` one.
        session: One that knows its tenant: of a `Tenancy`, or by `for_tenant`.
        only: As in `Store`, for what else decides.

    Raises:
        TypeError: As `Store`; or the model is not `TenantScoped`.
        TenantMissing: The session has no tenant.
        ValueError: It sees all tenants; take a `Store`, which knows no tenant either.
    """

    def __init__(
        self, model: type[M], session: AsyncReadSession, *, only: Mapping[str, Any] = MappingProxyType({})
    ) -> None:
        plain: type[Base] = model
        if not issubclass(plain, TenantScoped):
            raise TypeError(f"{model.__name__} is not TenantScoped.")
        tenant = session_tenant(session)
        if tenant is None:
            raise ValueError("This session sees all tenants; a TenantStore is about one. Take a Store.")
        super().__init__(model, session, only={**only, "tenant_id": tenant})
