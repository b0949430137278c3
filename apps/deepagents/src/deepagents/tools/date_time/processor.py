"""Answers questions about dates with the calendar and the time-zone database, not from memory."""

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from deepagents.tools.date_time.schemas import DateTimeInput, DateTimeOutput
from mainspring.ai import FunctionTool
from mainspring.errors import ValidationFailed

_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def _now(timezone: str) -> DateTimeOutput:
    try:
        zone = ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValidationFailed(
            f"There is no time zone {timezone!r}. Use an IANA name such as Europe/Madrid."
        ) from error
    moment = datetime.now(zone).replace(microsecond=0)
    return DateTimeOutput(
        result=f"{moment:%Y-%m-%d %H:%M:%S} {moment.tzname()}", iso=moment.isoformat(), weekday=_weekday(moment.date())
    )


def _difference(start: date, end: date) -> DateTimeOutput:
    days = (end - start).days
    return DateTimeOutput(result=f"{days} day{'' if abs(days) == 1 else 's'}", days=days)


def _add(start: date, days: int) -> DateTimeOutput:
    try:
        result = start + timedelta(days=days)
    except OverflowError as error:
        raise ValidationFailed("The result lies outside the years 1 to 9999.") from error
    return DateTimeOutput(
        result=f"{result.isoformat()}, a {_weekday(result)}", iso=result.isoformat(), weekday=_weekday(result)
    )


def _weekday(day: date) -> str:
    return _WEEKDAYS[day.weekday()]


async def _run(given: DateTimeInput) -> DateTimeOutput:
    match given:
        case DateTimeInput(operation="difference", start=date() as start, end=date() as end):
            return _difference(start, end)
        case DateTimeInput(operation="weekday", date=date() as day):
            return DateTimeOutput(result=_weekday(day), iso=day.isoformat(), weekday=_weekday(day))
        case DateTimeInput(operation="add", date=date() as day, days=int() as days):
            return _add(day, days)
    return _now(given.timezone)


tool = FunctionTool(
    name="date_time",
    description="The present time in a time zone, days between two dates, the weekday of a date, a date plus days.",
    input_model=DateTimeInput,
    output_model=DateTimeOutput,
    run=_run,
    retry_safe=True,
    timeout=2.0,
)
"""The plug-in."""
