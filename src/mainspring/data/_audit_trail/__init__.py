"""The audit trail: who changed what, in the same transaction, in chains that show tampering."""

from ._actors import Actor, act_as, acting_as, audit_reason, current_actor
from ._audited import Audited
from ._bulk import record_bulk_change
from ._models import AuditEntry, AuditSeal
from ._module import audit_trail_module
from ._router import audit_trail_router
from ._settings import AuditTrailSettings
from ._statements import audited_in_bulk
from ._trail import AUDIT_ENTRIES, AuditTrail
from ._verify import AuditReport, Discrepancy

__all__ = [
    "AUDIT_ENTRIES",
    "Actor",
    "AuditEntry",
    "AuditReport",
    "AuditSeal",
    "AuditTrail",
    "AuditTrailSettings",
    "Audited",
    "Discrepancy",
    "act_as",
    "acting_as",
    "audit_reason",
    "audit_trail_module",
    "audit_trail_router",
    "audited_in_bulk",
    "current_actor",
    "record_bulk_change",
]
