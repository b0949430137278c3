"""Text statistics count what a person would count."""

import pytest

from deepagents.tools.text_statistics.processor import tool
from deepagents.tools.text_statistics.schemas import TextStatisticsInput


async def counted(text):
    return await tool.run(TextStatisticsInput(text=text))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", 0),
        ("   \n\t ", 0),
        ("one", 1),
        ("what is 17 % of 2,340, and how many words has this sentence?", 12),
        ("don't stop", 2),
        ("a well-known fact", 3),
        ("Größe und Übermut", 3),
        ("3.14 is pi", 3),
        ("¿Qué tal?", 2),
        ("--- *** ---", 0),
    ],
)
async def test_words_are_counted(text, words):
    assert (await counted(text)).words == words


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("One. Two! Three?", 3),
        ("It costs 3.14 euros.", 1),
        ("no full stop", 1),
        ("Really?! Yes…", 2),
        ("...", 0),
        ('He said "Stop." Then he left.', 2),
    ],
)
async def test_sentences_are_counted(text, sentences):
    assert (await counted(text)).sentences == sentences


async def test_characters_letters_lines_and_the_longest_word_are_counted():
    statistics = await counted("Ab, cde\n\nfg hijk")

    assert (statistics.characters, statistics.letters, statistics.lines) == (16, 11, 2)
    assert (statistics.longest_word, statistics.unique_words) == ("hijk", 4)


async def test_upper_and_lower_case_are_one_word_to_the_unique_count():
    assert (await counted("Straße STRASSE strasse")).unique_words == 1
