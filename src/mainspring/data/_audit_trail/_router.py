"""The audit trail over HTTP."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends
from fastapi.params import Depends as Dependency
from pydantic import BaseModel, ConfigDict

from mainspring.data._dependencies import ReadSession
from mainspring.data._listing import CursorQuery
from mainspring.data._slices import CursorSlice
from mainspring.data._store import Store
from mainspring.http import CursorPage

from ._models import AuditEntry
from ._trail import AUDIT_ENTRIES

_Query = Annotated[CursorQuery[AuditEntry], Depends(AUDIT_ENTRIES.by_cursor)]


class AuditEntryOut(BaseModel):
    """One change, as administrators see it."""

    model_config = ConfigDict(from_attributes=True, frozen=True)

    id: UUID
    entity_type: str
    entity_id: str
    sequence: int
    occurred_at: datetime
    action: str
    actor_kind: str
    actor_id: str
    request_id: str | None
    trace_id: str | None
    reason: str | None
    before: dict[str, Any] | None
    after: dict[str, Any] | None


def audit_trail_router(*, dependencies: Sequence[Dependency], prefix: str = "/audit-trail") -> APIRouter:
    """`GET /audit-trail`: entries by row, actor, action, request and time, newest first, page by page.

    Args:
        dependencies: Who may ask; there is no default, because the trail shows everybody's data:
            `[Depends(require_administrator)]`.
        prefix: Below the API prefix.

    Raises:
        ValueError: There are no dependencies.
    """
    if not dependencies:
        raise ValueError("The audit trail shows everybody's data. Say in `dependencies` who may read it.")
    refused: dict[int | str, dict[str, Any]] = {
        401: {"description": "Not signed in."},
        403: {"description": "Not for you."},
    }
    router = APIRouter(prefix=prefix, tags=["audit trail"], dependencies=list(dependencies), responses=refused)

    @router.get("", response_model=CursorPage[AuditEntryOut])
    async def list_audit_entries(query: _Query, session: ReadSession) -> CursorSlice[AuditEntry]:
        """What was changed, by whom."""
        return await Store(AuditEntry, session).page(query)

    return router
