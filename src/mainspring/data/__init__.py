"""The database: engines, sessions that read or write, the unit of work, models and migrations."""

from ._assured import assured
from ._backfill import backfill
from ._base import Base, Identified, SoftDeleted, Timestamped, UtcDateTime, relationship
from ._database import Database, database_resource
from ._dependencies import ReadSession, WriteSession, database_of
from ._migrating import MigrationBlocked, MigrationLimits
from ._migrator import Migrator, PendingMigrations, Revision
from ._session import AsyncReadSession, AsyncWriteSession
from ._translate import translated
from ._trial import create_tables, rolled_back
from ._url import database_url

__all__ = [
    "AsyncReadSession",
    "AsyncWriteSession",
    "Base",
    "Database",
    "Identified",
    "MigrationBlocked",
    "MigrationLimits",
    "Migrator",
    "PendingMigrations",
    "ReadSession",
    "Revision",
    "SoftDeleted",
    "Timestamped",
    "UtcDateTime",
    "WriteSession",
    "assured",
    "backfill",
    "create_tables",
    "database_of",
    "database_resource",
    "database_url",
    "relationship",
    "rolled_back",
    "translated",
]
