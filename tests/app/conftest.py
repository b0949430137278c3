"""Small services, composed by each test."""

import pytest

from mainspring.app import create_app
from mainspring.settings import Settings


@pytest.fixture
def compose_service(tmp_path, monkeypatch):
    """Composes a service on a SQLite file of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DATABASE_URL", raising=False)

    def compose(*modules, settings=None, resources=(), **values):
        given = {"environment": "test", "database_url": f"sqlite:///{tmp_path}/test.db"} | values
        return create_app("shop", settings=settings or Settings(**given), modules=modules, resources=resources)

    return compose
