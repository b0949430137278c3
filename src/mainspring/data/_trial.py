"""Databases for tests: tables without migrations, and changes that never stay."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import MetaData

from ._base import Base
from ._database import Database
from ._engine import make_engine
from ._url import database_url


async def create_tables(url: str, metadata: MetaData | None = None) -> None:
    """Create every table of `metadata` that is missing. For tests; a service's tables come from its migrations.

    Args:
        url: As in `database_url`.
        metadata: What to create; that of `Base` by default: every model imported so far.
    """
    engine = make_engine(database_url(url), pool_size=1, pool_timeout=5.0, application_name="create-tables")
    try:
        async with engine.begin() as connection:
            await connection.run_sync((metadata or Base.metadata).create_all)
    finally:
        await engine.dispose()


@asynccontextmanager
async def rolled_back(url: str) -> AsyncIterator[Database]:
    """A database on one connection whose every change, commits included, is undone at the end of the block. For tests.

    Units of work become savepoints of one transaction, so they must follow each other or nest; for work at the same
    time, and for constraints that are checked at the commit, a test needs a database of its own.

    Args:
        url: As in `database_url`; its tables must exist.
    """
    engine = make_engine(database_url(url), pool_size=1, pool_timeout=5.0, application_name="rolled-back")
    try:
        async with engine.connect() as connection:
            transaction = await connection.begin()
            try:
                yield Database(connection, direct=True, nested=True)
            finally:
                await transaction.rollback()
    finally:
        await engine.dispose()
