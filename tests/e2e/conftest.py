"""What the end-to-end tests share."""

import shutil
from collections.abc import Iterator

import httpx2
import pytest


@pytest.fixture
def client() -> Iterator[httpx2.Client]:
    with httpx2.Client(timeout=20) as client:
        yield client


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of the system's browser; tests that need one are skipped, loudly, where there is none."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no browser: install chromium (apt-get install chromium) to test the page")
    return path


@pytest.fixture
def service_database_url(fresh_database, database_url: str) -> str:
    """A migrated database of this test alone: another process uses it."""
    return database_url
