"""What the calculator takes and gives."""

from pydantic import BaseModel, Field


class CalculatorInput(BaseModel):
    """An arithmetic expression."""

    expression: str = Field(
        min_length=1,
        max_length=500,
        description="Numbers with + - * / // % ** and parentheses, e.g. 2340 * 17 / 100. % is the remainder.",
        examples=["2340 * 17 / 100"],
    )


class CalculatorOutput(BaseModel):
    """The value.

    Attributes:
        expression: What was worked out.
        result: The value as decimal digits; exact where a decimal can be, else rounded to 28 significant digits.
        exact: Whether nothing was rounded.
    """

    expression: str
    result: str
    exact: bool
