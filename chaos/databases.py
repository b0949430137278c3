"""An empty database for one run, dropped afterwards."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg  # type: ignore[import-untyped]  # an optional extra, without types


@asynccontextmanager
async def scratch(kind: str, folder: Path) -> AsyncIterator[str]:
    """The URL of a new database: a file in `folder`, or one of the server that `TEST_DATABASE_URL` names, or else of the
    one at 127.0.0.1.
    """
    if kind == "sqlite":
        yield f"sqlite:///{folder / 'chaos.db'}"
        return
    named = os.environ.get("TEST_DATABASE_URL", "")
    server = named if named.startswith("postgres") else "postgresql://postgres@127.0.0.1:5432/postgres"
    name = f"mainspring_chaos_{uuid4().hex}"
    await _execute(server, f'CREATE DATABASE "{name}"')
    try:
        yield urlsplit(server)._replace(path=f"/{name}").geturl()
    finally:
        await _execute(server, f'DROP DATABASE "{name}" WITH (FORCE)')


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
