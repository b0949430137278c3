"""`python -m chaos`, as it is typed."""

import subprocess
import sys
from pathlib import Path

import pytest

from chaos.campaign import Plan

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

ROOT = Path(__file__).parents[2]


def chaos(*arguments):
    command = [sys.executable, "-m", "chaos", "--database", "sqlite", "--seed", "7", "--rounds", "1", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=50, check=False)


def test_a_round_that_finds_nothing_ends_well_with_a_table():
    done = chaos("--scenario", "updates")

    assert (done.returncode, done.stderr) == (0, "")
    assert "| sqlite | updates | 1 |" in done.stdout
    assert done.stdout.endswith("0 violations in 1 rounds, seed 7\n")


def test_a_violation_is_told_with_what_repeats_it_and_what_clients_heard():
    done = chaos("--scenario", "duplicates", "--without", "no-key", "--first", "3")

    assert done.returncode == 1
    assert "duplicates-3: " in done.stdout
    assert "promise 4: duplicates-3.1 is stored 51 times" in done.stdout
    where = "--database sqlite --seed 7 --scenario duplicates --first 3 --rounds 1 --without no-key"
    assert f"replay: python -m chaos {where}" in done.stdout
    assert "duplicates-3.1 keyed: 201:" in done.stdout


@pytest.mark.parametrize(
    ("url", "asked", "turns"),
    [
        ("sqlite:///x.db", [], ["kill", "cancel", "refused", "duplicates", "updates"]),
        ("postgresql://x/y", [], ["kill", "cancel", "refused", "drop", "duplicates", "updates"]),
        ("sqlite:///x.db", ["drop"], []),
        ("postgresql://x/y", ["drop", "kill"], ["drop", "kill"]),
    ],
)
def test_scenarios_take_turns_as_far_as_the_database_knows_them(url, asked, turns):
    assert Plan(url=url, seed=1, rounds=1, scenarios=asked).turns == turns
