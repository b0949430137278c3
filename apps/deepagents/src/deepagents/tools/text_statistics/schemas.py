"""What text statistics take and give."""

from pydantic import BaseModel, Field


class TextStatisticsInput(BaseModel):
    """A text."""

    text: str = Field(max_length=200_000, description="The text to count in.")


class TextStatisticsOutput(BaseModel):
    """What was counted.

    Attributes:
        words: Runs of letters and digits, apostrophes and hyphens within a word included: `don't` is one word. A
            number is a word.
        unique_words: Different ones, upper and lower case taken together.
        characters: Unicode code points, spaces included.
        letters: Alphabetic ones.
        sentences: Stretches of text that hold a word and end in `.`, `!`, `?`, `…` or the end of the text.
        lines: Lines that are not empty.
        longest_word: The first of the longest words; empty where there is none.
    """

    words: int
    unique_words: int
    characters: int
    letters: int
    sentences: int
    lines: int
    longest_word: str
