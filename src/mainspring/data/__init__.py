"""The database: engines, sessions that read or write, the unit of work, models and migrations."""

from ._assured import assured
from ._backfill import backfill
from ._base import Base, Identified, SoftDeleted, Timestamped, Versioned, relationship
from ._bulk import BulkChange, copy_rows, nested, update_rows, upsert_rows
from ._database import Database, PoolUsage, database_resource
from ._dependencies import ReadSession, WriteSession, database_of
from ._filters import Filter
from ._idempotency import IdempotencyGate, IdempotencyKeys, Replay, idempotency_module, idempotent, replayed
from ._listing import CursorQuery, Listing, PageQuery
from ._migrating import MigrationBlocked, MigrationLimits
from ._migrator import Migrator, PendingMigrations, Revision
from ._moments import UtcDateTime, utc_now
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
    "BulkChange",
    "CursorQuery",
    "CursorSlice",
    "Database",
    "Filter",
    "IdempotencyGate",
    "IdempotencyKeys",
    "Identified",
    "Listing",
    "MigrationBlocked",
    "MigrationLimits",
    "Migrator",
    "NumberedSlice",
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
    "assured",
    "backfill",
    "copy_rows",
    "create_tables",
    "database_of",
    "database_resource",
    "database_url",
    "idempotency_module",
    "idempotent",
    "including_deleted",
    "nested",
    "relationship",
    "replayed",
    "rolled_back",
    "translated",
    "update_rows",
    "upsert_rows",
    "utc_now",
]
