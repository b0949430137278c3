"""The database: engines, sessions that read or write, the unit of work, models and migrations."""

from ._assured import assured
from ._audit_trail import (
    AUDIT_ENTRIES,
    Actor,
    Audited,
    AuditEntry,
    AuditReport,
    AuditSeal,
    AuditTrail,
    AuditTrailSettings,
    Discrepancy,
    act_as,
    acting_as,
    audit_reason,
    audit_trail_module,
    audit_trail_router,
    audited_in_bulk,
    current_actor,
)
from ._backfill import backfill
from ._base import Base, Identified, SoftDeleted, Timestamped, Versioned, relationship
from ._database import Database, PoolUsage, database_resource
from ._dependencies import ReadSession, WriteSession, database_of
from ._filters import Filter
from ._idempotency import IdempotencyGate, IdempotencyKeys, Replay, idempotency_module, idempotent, replayed
from ._listing import CursorQuery, Listing, PageQuery
from ._migrating import MigrationBlocked, MigrationLimits
from ._migrator import Migrator, PendingMigrations, Revision
from ._moments import UtcDateTime, utc_now
from ._outbox import Deliver, Outbox, OutboxMessage, OutboxRelay, outbox_module
from ._session import AsyncReadSession, AsyncWriteSession
from ._slices import CursorSlice, NumberedSlice
from ._soft_delete import including_deleted
from ._store import Store
from ._translate import translated
from ._trial import create_tables, rolled_back
from ._url import database_url

__all__ = [
    "AUDIT_ENTRIES",
    "Actor",
    "AsyncReadSession",
    "AsyncWriteSession",
    "AuditEntry",
    "AuditReport",
    "AuditSeal",
    "AuditTrail",
    "AuditTrailSettings",
    "Audited",
    "Base",
    "CursorQuery",
    "CursorSlice",
    "Database",
    "Deliver",
    "Discrepancy",
    "Filter",
    "IdempotencyGate",
    "IdempotencyKeys",
    "Identified",
    "Listing",
    "MigrationBlocked",
    "MigrationLimits",
    "Migrator",
    "NumberedSlice",
    "Outbox",
    "OutboxMessage",
    "OutboxRelay",
    "PageQuery",
    "PendingMigrations",
    "PoolUsage",
    "ReadSession",
    "Replay",
    "Revision",
    "SoftDeleted",
    "Store",
    "Timestamped",
    "UtcDateTime",
    "Versioned",
    "WriteSession",
    "act_as",
    "acting_as",
    "assured",
    "audit_reason",
    "audit_trail_module",
    "audit_trail_router",
    "audited_in_bulk",
    "backfill",
    "create_tables",
    "current_actor",
    "database_of",
    "database_resource",
    "database_url",
    "idempotency_module",
    "idempotent",
    "including_deleted",
    "outbox_module",
    "relationship",
    "replayed",
    "rolled_back",
    "translated",
    "utc_now",
]
