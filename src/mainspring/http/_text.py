"""Text as databases can store it."""

from typing import Annotated

from pydantic import StringConstraints

Text = Annotated[str, StringConstraints(pattern=r"^[^\x00]*$")]
"""A string without NUL: PostgreSQL cannot store that character, and SQLite cuts the text at it in comparisons."""
