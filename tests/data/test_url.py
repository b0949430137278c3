"""Database URLs as people write them."""

import sys

import pytest

from mainspring.data import database_url


@pytest.mark.parametrize(
    ("given", "driver"),
    [
        ("sqlite:///data.db", "sqlite+aiosqlite"),
        ("sqlite+aiosqlite:////var/lib/data.db", "sqlite+aiosqlite"),
        ("postgres://u:p@db/shop", "postgresql+asyncpg"),
        ("postgresql://u:p@db/shop", "postgresql+asyncpg"),
        ("postgresql+asyncpg://u:p@db:6432/shop?ssl=require", "postgresql+asyncpg"),
    ],
)
def test_the_driver_is_chosen_and_the_rest_is_kept(given, driver):
    url = database_url(given)
    assert url.drivername == driver
    assert url.render_as_string(hide_password=False).partition("://")[2] == given.partition("://")[2]


@pytest.mark.parametrize(
    ("given", "advice"),
    [
        ("", "is not a URL"),
        ("shop.db", "is not a URL"),
        ("mysql://u:p@db/shop", "'mysql', which is not supported"),
        ("postgresql+psycopg2://u:p@db/shop", "not supported"),
        ("sqlite://", "names no file"),
        ("sqlite:///:memory:", "names no file"),
    ],
)
def test_what_cannot_work_is_refused_with_what_to_write_instead(given, advice):
    with pytest.raises(ValueError, match=advice) as caught:
        database_url(given)
    assert "sqlite://" in str(caught.value)


def test_a_missing_driver_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "asyncpg", None)
    with pytest.raises(ModuleNotFoundError, match=r"mainspring\[postgres\]"):
        database_url("postgresql://db/shop")
    assert database_url("sqlite:///data.db")
