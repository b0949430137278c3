"""The date and time tool asks the calendar."""

from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError

from deepagents.tools.date_time.processor import tool
from deepagents.tools.date_time.schemas import DateTimeInput
from mainspring.errors import ValidationFailed


async def asked(**question):
    return await tool.run(DateTimeInput(**question))


async def test_days_between_two_dates_cross_february_of_a_leap_year():
    assert (await asked(operation="difference", start="2024-02-01", end="2024-03-01")).days == 29
    assert (await asked(operation="difference", start="2026-02-01", end="2026-03-01")).result == "28 days"


async def test_an_earlier_end_gives_negative_days():
    assert (await asked(operation="difference", start="2026-01-02", end="2026-01-01")).result == "-1 day"


async def test_the_weekday_of_a_date_is_named():
    assert (await asked(operation="weekday", date="2026-12-25")).result == "Friday"


async def test_days_are_added_over_the_end_of_a_year():
    answer = await asked(operation="add", date="2026-12-31", days=1)

    assert (answer.iso, answer.weekday) == ("2027-01-01", "Friday")


async def test_the_time_is_that_of_the_zone():
    answer = await asked(operation="now", timezone="Asia/Tokyo")
    moment = datetime.fromisoformat(answer.iso)

    assert moment.utcoffset() == timedelta(hours=9)
    assert abs(moment - datetime.now(UTC)) < timedelta(seconds=5)


@pytest.mark.parametrize("timezone", ["Mars/Olympus", "../../etc/passwd", "", "UTC\x00", "/etc/localtime"])
async def test_an_unknown_zone_is_refused_with_an_example(timezone):
    with pytest.raises(ValidationFailed, match="IANA"):
        await asked(operation="now", timezone=timezone)


@pytest.mark.parametrize(
    ("operation", "missing"), [("difference", "start and end"), ("weekday", "date"), ("add", "date and days")]
)
def test_an_incomplete_question_says_what_is_missing(operation, missing):
    with pytest.raises(ValidationError, match=missing):
        DateTimeInput(operation=operation)


async def test_a_result_beyond_the_calendar_is_refused():
    with pytest.raises(ValidationFailed, match="years 1 to 9999"):
        await asked(operation="add", date="2026-01-01", days=3_999_999)
