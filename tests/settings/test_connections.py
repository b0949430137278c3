"""How many database connections a process keeps: its share of what the service may hold."""

import pytest

from mainspring.settings import Settings, _settings
from tests.settings.shop import GOOD, ShopSettings


@pytest.fixture(autouse=True)
def eight_cores(monkeypatch):
    monkeypatch.setattr(_settings, "usable_cores", lambda: (8, "8 cores"))


@pytest.mark.parametrize(
    ("settings", "size"),
    [
        ({}, 10),
        ({"database_pool_size": 7, "database_connections": 1000}, 7),
        # 90 for 3 machines with 4 workers each.
        ({"database_connections": 90, "workers": 4, "instances": 3}, 7),
        # As many workers as cores, where nobody says.
        ({"database_connections": 90}, 11),
        # More than twice the cores are no quicker.
        ({"database_connections": 1000, "workers": 1}, 16),
        ({"database_connections": 16, "workers": 4, "instances": 2}, 2),
    ],
)
def test_each_gets_an_equal_share_within_reason(settings, size):
    assert ShopSettings(**GOOD | settings).connections_per_process[0] == size


def test_the_reason_is_told():
    settings = Settings(database_connections=90, workers=4, instances=3)
    assert settings.connections_per_process[1] == "90 for 12 processes"
