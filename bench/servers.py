"""Databases to measure with, gone afterwards."""

import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg

SERVER = f"postgresql://postgres@127.0.0.1:{os.environ.get('PGPORT', '5432')}"


@asynccontextmanager
async def postgresql() -> AsyncIterator[str]:
    """The URL of a database of its own."""
    name = f"mainspring_bench_{os.getpid()}"
    server = await asyncpg.connect(f"{SERVER}/postgres")
    try:
        await server.execute(f'CREATE DATABASE "{name}"')
        try:
            yield f"{SERVER}/{name}"
        finally:
            await server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    finally:
        await server.close()


@asynccontextmanager
async def sqlite() -> AsyncIterator[str]:
    """The URL of a file of its own."""
    with tempfile.TemporaryDirectory() as folder:
        yield f"sqlite:///{Path(folder, 'bench.db')}"
