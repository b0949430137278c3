"""The suite can fail: without one of its guards the service breaks a promise, and the rounds say so."""

import pytest

from chaos.guards import WEAKNESSES

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

CASES = [(name, scenario) for name, weakness in WEAKNESSES.items() for scenario in weakness.scenarios]


@pytest.mark.parametrize(("name", "scenario"), CASES, ids=["-".join(case) for case in CASES])
async def test_without_a_guard_the_rounds_are_red(name, scenario, database_backend, play):
    weakness = WEAKNESSES[name]
    if database_backend not in weakness.scenarios[scenario]:
        pytest.skip("this database makes up for the guard: see chaos.guards")

    report = await play(seed=7, rounds=40, scenarios=[scenario], weakness=name, until=weakness.breaks)

    assert weakness.breaks in {violation.promise for violation in report.violations}
