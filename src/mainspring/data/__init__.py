"""The database: engines, sessions that read or write, the unit of work, models and migrations."""

from ._assured import assured
from ._backfill import backfill
from ._base import Base, Identified, SoftDeleted, Timestamped, Versioned, relationship
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
    "RAISES",
    "AsyncReadSession",
    "AsyncWriteSession",
    "Base",
    "ConnectionLimits",
    "CursorQuery",
    "CursorSlice",
    "Database",
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
    "assured",
    "backfill",
    "create_tables",
    "database_of",
    "database_resource",
    "database_url",
    "disable_row_level_security",
    "enable_row_level_security",
    "for_tenant",
    "idempotency_module",
    "idempotent",
    "including_deleted",
    "record_queries",
    "relationship",
    "replayed",
    "retried",
    "rolled_back",
    "row_level_security_resource",
    "session_tenant",
    "tenant_models",
    "translated",
    "utc_now",
]
