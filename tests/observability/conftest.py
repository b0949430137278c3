"""Logging that is put back after each test."""

import pytest

from tests.observability.capture import json_lines, restored_logging


@pytest.fixture(autouse=True)
def _logging_is_put_back():
    with restored_logging():
        yield


@pytest.fixture
def lines():
    with json_lines() as lines:
        yield lines
