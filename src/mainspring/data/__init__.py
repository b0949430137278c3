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
from ._bulk import BulkChange, copy_rows, nested, update_rows, upsert_rows
from ._constraints import RAISES
from ._database import Database, PoolUsage, database_resource
from ._dependencies import FreshReadSession, ReadSession, SerializableSession, WriteSession, database_of
from ._engine import ConnectionLimits
from ._filters import Filter
from ._idempotency import IdempotencyGate, IdempotencyKeys, Replay, idempotency_module, idempotent, replayed
from ._lazy_loads import LazyLoad
from ._listing import CursorQuery, Listing, PageQuery
from ._migrating import MigrationBlocked, MigrationLimits
from ._migrator import Migrator, PendingMigrations, Revision
from ._moments import UtcDateTime, utc_now
from ._outbox import Deliver, Outbox, OutboxMessage, OutboxRelay, outbox_module
from ._projection import Projection
from ._queries import Queries, Query, Repeat, record_queries
from ._repeats import RepeatedQueries
from ._retrying import RetryGate, retried
from ._session import AsyncReadSession, AsyncWriteSession
from ._slices import CursorSlice, NumberedSlice
from ._soft_delete import including_deleted
from ._sticky import ReadYourWrites
from ._store import Store
from ._tenancy import (
    ForeignTenant,
    TenantMissing,
    TenantScoped,
    across_tenants,
    disable_row_level_security,
    enable_row_level_security,
    for_tenant,
    session_tenant,
    tenant_models,
)
from ._tenant_policies import RowLevelSecurity, row_level_security_resource
from ._tenant_requests import Tenancy
from ._tenant_store import TenantStore
from ._translate import translated
from ._trial import create_tables, rolled_back
from ._url import database_url

__all__ = [
    "AUDIT_ENTRIES",
    "RAISES",
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
    "BulkChange",
    "ConnectionLimits",
    "CursorQuery",
    "CursorSlice",
    "Database",
    "Deliver",
    "Discrepancy",
    "Filter",
    "ForeignTenant",
    "FreshReadSession",
    "IdempotencyGate",
    "IdempotencyKeys",
    "Identified",
    "LazyLoad",
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
    "Projection",
    "Queries",
    "Query",
    "ReadSession",
    "ReadYourWrites",
    "Repeat",
    "RepeatedQueries",
    "Replay",
    "RetryGate",
    "Revision",
    "RowLevelSecurity",
    "SerializableSession",
    "SoftDeleted",
    "Store",
    "Tenancy",
    "TenantMissing",
    "TenantScoped",
    "TenantStore",
    "Timestamped",
    "UtcDateTime",
    "Versioned",
    "WriteSession",
    "across_tenants",
    "act_as",
    "acting_as",
    "assured",
    "audit_reason",
    "audit_trail_module",
    "audit_trail_router",
    "audited_in_bulk",
    "backfill",
    "copy_rows",
    "create_tables",
    "current_actor",
    "database_of",
    "database_resource",
    "database_url",
    "disable_row_level_security",
    "enable_row_level_security",
    "for_tenant",
    "idempotency_module",
    "idempotent",
    "including_deleted",
    "nested",
    "outbox_module",
    "record_queries",
    "relationship",
    "replayed",
    "retried",
    "rolled_back",
    "row_level_security_resource",
    "session_tenant",
    "tenant_models",
    "translated",
    "update_rows",
    "upsert_rows",
    "utc_now",
]
