"""What the date and time tool takes and gives."""

from datetime import date as Date  # noqa: N812 -- a field is called `date`
from typing import Literal, Self

from pydantic import BaseModel, Field, model_validator

_NEEDS = {"now": (), "difference": ("start", "end"), "weekday": ("date",), "add": ("date", "days")}


class DateTimeInput(BaseModel):
    """One question about dates."""

    operation: Literal["now", "difference", "weekday", "add"] = Field(
        description="now: the time in `timezone`; difference: days from `start` to `end`; weekday: of `date`; "
        "add: `date` plus `days`."
    )
    timezone: str = Field(default="UTC", max_length=64, description="IANA name, e.g. Europe/Madrid.")
    start: Date | None = Field(default=None, description="YYYY-MM-DD.")
    end: Date | None = Field(default=None, description="YYYY-MM-DD.")
    date: Date | None = Field(default=None, description="YYYY-MM-DD.")
    days: int | None = Field(default=None, ge=-4_000_000, le=4_000_000, description="May be negative.")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        missing = [name for name in _NEEDS[self.operation] if getattr(self, name) is None]
        if missing:
            raise ValueError(f"{self.operation} needs {' and '.join(missing)}.")
        return self


class DateTimeOutput(BaseModel):
    """The answer.

    Attributes:
        result: For a person: `Thursday`, `59 days`, `2026-11-20 23:10:00 CET`.
        iso: The moment or date in ISO 8601, where the answer is one.
        days: The number of days, for a difference.
        weekday: The day of the week, where the answer has one.
    """

    result: str
    iso: str | None = None
    days: int | None = None
    weekday: str | None = None
