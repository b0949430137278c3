"""A few rounds of the chaos suite; `make chaos` runs a thousand."""

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


async def test_no_promise_is_broken_in_a_few_rounds_of_every_scenario(play):
    report = await play(seed=20, rounds=12)

    assert report.violations == []
    assert sum(tally.statuses[201] for tally in report.tallies.values()) > 50
    assert report.tallies["kill"].kills >= 2


@pytest.mark.databases("postgresql")
async def test_connections_were_really_lost_and_answers_too(play):
    report = await play(seed=20, rounds=3, scenarios=["drop"])

    assert report.violations == []
    assert report.tallies["drop"].cuts > 10
    assert report.tallies["drop"].statuses[503] > 0
