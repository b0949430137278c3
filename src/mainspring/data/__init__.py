"""The database: engines, sessions that read or write, the unit of work, models and migrations."""

from ._assured import assured
from ._backfill import backfill
from ._base import Base, Identified, SoftDeleted, Timestamped, Versioned, relationship
from ._database import Database, PoolUsage, database_resource
from ._dependencies import ReadSession, WriteSession, database_of
from ._filters import Filter
from ._idempotency import IdempotencyGate, IdempotencyKeys, Replay, idempotency_module, idempotent, replayed
from ._lazy_loads import LazyLoad
from ._listing import CursorQuery, Listing, PageQuery
from ._migrating import MigrationBlocked, MigrationLimits
from ._migrator import Migrator, PendingMigrations, Revision
from ._moments import UtcDateTime, utc_now
from ._queries import Queries, Query, Repeat, record_queries
from ._repeats import RepeatedQueries
from ._session import AsyncReadSession, AsyncWriteSession
from ._slices import CursorSlice, NumberedSlice
from ._soft_delete import including_deleted
from ._store import Store
from ._translate import translated
from ._trial import create_tables, rolled_back
from ._url import database_url

__all__ = [
    "AsyncReadSession",
    "AsyncWriteSession",
    "Base",
    "CursorQuery",
    "CursorSlice",
    "Database",
    "Filter",
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
    "Queries",
    "Query",
    "ReadSession",
    "Repeat",
    "RepeatedQueries",
    "Replay",
    "Revision",
    "SoftDeleted",
    "Store",
    "Timestamped",
    "UtcDateTime",
    "Versioned",
    "WriteSession",
    "assured",
    "backfill",
    "create_tables",
    "database_of",
    "database_resource",
    "database_url",
    "idempotency_module",
    "idempotent",
    "including_deleted",
    "record_queries",
    "relationship",
    "replayed",
    "rolled_back",
    "translated",
    "utc_now",
]
