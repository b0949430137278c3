"""Counts words, characters and sentences, in any script that separates words."""

import re

from deepagents.tools.text_statistics.schemas import TextStatisticsInput, TextStatisticsOutput
from mainspring.ai import FunctionTool, in_thread

# A number with separators (2,340.5) is one word, and so is don't or well-known.
_WORD = re.compile(r"\d+(?:[.,]\d+)*|\w+(?:['\u2019\-]\w+)*")
# A full stop between digits or letters (3.14, e.g) does not end a sentence.
_SENTENCE_END = re.compile(r"(?:[!?\u2026]+|\.+)(?=\s|$|[\"'\u201d\u2019)\]])")


def _run(given: TextStatisticsInput) -> TextStatisticsOutput:
    text = given.text
    words = _WORD.findall(text)
    return TextStatisticsOutput(
        words=len(words),
        unique_words=len({word.casefold() for word in words}),
        characters=len(text),
        letters=sum(map(str.isalpha, text)),
        sentences=sum(1 for part in _SENTENCE_END.split(text) if _WORD.search(part)),
        lines=sum(1 for line in text.splitlines() if line.strip()),
        longest_word=max(words, key=len, default=""),
    )


tool = FunctionTool(
    name="text_statistics",
    description="Counts the words, characters, letters, sentences and lines of a text.",
    input_model=TextStatisticsInput,
    output_model=TextStatisticsOutput,
    run=in_thread(_run),
    retry_safe=True,
    timeout=5.0,
)
"""The plug-in."""
