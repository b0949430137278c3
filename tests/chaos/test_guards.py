"""The suite can fail: without one of its guards the service breaks a promise, and the rounds say so."""

import pytest

from chaos.guards import WEAKNESSES
from chaos.proofs import MOST_ROUNDS
from chaos.scenarios import ONLY_WITH_CONNECTIONS

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

_CASES = [(name, scenario, on) for name, weak in WEAKNESSES.items() for scenario, on in weak.scenarios.items()]
EVERYWHERE = [(name, scenario) for name, scenario, on in _CASES if len(on) > 1]
ON_POSTGRESQL = [(name, scenario) for name, scenario, on in _CASES if on == ("postgresql",)]


@pytest.fixture
def broken(play):
    """The promises that rounds without a guard find broken."""

    async def broken(name, scenario):
        report = await play(
            seed=7, rounds=MOST_ROUNDS, scenarios=[scenario], weakness=name, until=WEAKNESSES[name].breaks
        )
        return {violation.promise for violation in report.violations}

    return broken


@pytest.mark.parametrize(("name", "scenario"), EVERYWHERE)
async def test_without_a_guard_the_rounds_are_red(name, scenario, broken):
    assert WEAKNESSES[name].breaks in await broken(name, scenario)


@pytest.mark.databases("postgresql")
@pytest.mark.parametrize(("name", "scenario"), ON_POSTGRESQL)
async def test_without_a_guard_that_sqlite_has_no_use_for_postgresqls_rounds_are_red(name, scenario, broken):
    assert WEAKNESSES[name].breaks in await broken(name, scenario)


@pytest.mark.databases("sqlite")
async def test_sqlites_only_writer_takes_the_place_of_the_version(play):
    report = await play(seed=7, rounds=4, scenarios=["updates"], weakness="no-version")

    assert report.violations == []


def test_every_scenario_is_seen_red_for_some_guard():
    seen = {scenario for name, scenario, on in _CASES}

    assert seen == {"kill", "cancel", "refused", "duplicates", "updates"} | ONLY_WITH_CONNECTIONS
