"""The chaos suite on databases that the plugin makes."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from sqlalchemy import MetaData

from chaos.campaign import Plan, Report, run
from mainspring.data import Database
from mainspring.testing import Schema

type Play = Callable[..., Awaitable[Report]]


@pytest.fixture
def database_schema() -> Schema:
    """None: the suite makes its own tables, by raw SQL."""
    return Schema(tables=MetaData())


@pytest.fixture
def play(fresh_database: Database, database_url: str, tmp_path: Path) -> Play:
    """Runs rounds on a database of this test alone; what was found is printed."""

    async def play(**plan: object) -> Report:
        return await run(Plan(url=database_url, **plan), tmp_path, print)

    return play
