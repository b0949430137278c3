"""As many workers as the container may use cores."""

import os

import pytest

from mainspring.settings import Settings
from mainspring.settings._cores import usable_cores


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Makes a machine of 8 cores with these control groups; gives what `usable_cores` takes."""
    monkeypatch.setattr(os, "process_cpu_count", lambda: 8)
    mount, groups = tmp_path / "cgroup", tmp_path / "groups"

    def made(lines="", /, **files):
        for path, content in files.items():
            file = mount / path.replace("__", "/").replace("cpu_", "cpu.")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content)
        groups.write_text(lines)
        return usable_cores(mount, groups)

    return made


def test_without_a_quota_it_is_what_the_system_says(machine):
    assert machine() == (8, "usable cores")
    assert machine("0::/\n", cpu_max="max 100000\n") == (8, "usable cores")


@pytest.mark.parametrize(
    ("quota", "cores"),
    [("400000", 4), ("250000", 3), ("240000", 2), ("150000", 2), ("50000", 1), ("1000", 1), ("9900000", 8)],
)
def test_a_quota_counts_rounded_and_is_at_least_one(machine, quota, cores):
    assert machine("0::/\n", cpu_max=f"{quota} 100000\n")[0] == cores


def test_the_reason_names_the_quota(machine):
    assert machine(cpu_max="150000 100000")[1] == "CPU quota of the container: 1.5 cores"


def test_the_groups_above_count_too_and_the_tightest_wins(machine):
    found = machine(
        "0::/pods/shop\n",
        pods__shop__cpu_max="max 100000",
        pods__cpu_max="300000 100000",
        other__cpu_max="100000 100000",
    )

    assert found[0] == 3


def test_version_1_is_read_too(machine):
    found = machine(
        "4:memory:/x\n3:cpu,cpuacct:/docker/shop\n",
        cpu__docker__shop__cpu_cfs_quota_us="200000",
        cpu__docker__shop__cpu_cfs_period_us="100000",
        cpu__cpu_cfs_quota_us="-1",
        cpu__cpu_cfs_period_us="100000",
    )

    assert found[0] == 2


def test_a_group_file_that_cannot_be_read_limits_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "process_cpu_count", lambda: None)

    assert usable_cores(tmp_path, tmp_path / "missing") == (1, "usable cores")


PRODUCTION = {
    "environment": "production",
    "secret_key": "q8s7dJ2kLp0VbX4nT6yR1wZ3mC5hF9aEuGiKoNqS",
    "allowed_hosts": "shop.example.com",
}


class TestServerProcesses:
    def test_what_is_set_counts(self):
        assert Settings(workers=3).server_processes == (3, "workers")

    def test_outside_production_it_is_one(self):
        assert Settings(environment="test").server_processes == (1, "ENVIRONMENT=test")

    def test_in_production_it_is_one_per_core_on_postgresql_and_one_on_sqlite(self, monkeypatch):
        monkeypatch.setattr("mainspring.settings._settings.usable_cores", lambda: (8, "usable cores"))

        postgresql = Settings(**PRODUCTION, database_url="postgresql://shop@db/shop")
        sqlite = Settings(**PRODUCTION, database_url="sqlite:////srv/shop.db")

        assert postgresql.server_processes == (8, "usable cores")
        assert sqlite.server_processes == (1, "SQLite takes one writer at a time")

    def test_the_grace_is_for_production(self):
        assert Settings(environment="test").drain_grace == 0
        assert Settings(**PRODUCTION, database_url="postgresql://shop@db/shop").drain_grace == 5
        assert Settings(drain_grace_seconds=12).drain_grace == 12
