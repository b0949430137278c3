"""Levels change at run time, for all who share a run directory, and fall back."""

import logging
from datetime import UTC, datetime, timedelta

import pytest

from mainspring.kernel import FrozenClock
from mainspring.observability import LogLevels

NAME = "tests.levels"


@pytest.fixture
def clock():
    return FrozenClock(datetime(2026, 11, 1, tzinfo=UTC))


@pytest.fixture
def levels(clock):
    levels = LogLevels(clock)
    yield levels
    levels.restore()


@pytest.fixture
def root():
    root = logging.getLogger()
    kept = root.level
    root.setLevel(logging.WARNING)
    yield root
    root.setLevel(kept)


@pytest.fixture(autouse=True)
def _untouched():
    """The logger as it is when nobody has changed it."""
    logging.getLogger(NAME).setLevel(logging.NOTSET)
    yield
    logging.getLogger(NAME).setLevel(logging.NOTSET)


def level(name=NAME):
    return logging.getLogger(name).level


class TestAlone:
    def test_a_level_holds_for_its_minutes_and_not_longer(self, levels, clock):
        levels.set("DEBUG", logger=NAME, minutes=10)
        clock.advance(timedelta(minutes=9.9))
        levels.follow()
        assert level() == logging.DEBUG

        clock.advance(timedelta(minutes=0.2))
        levels.follow()
        assert (level(), levels.overrides) == (logging.NOTSET, ())

    def test_a_second_change_falls_back_to_what_was_before_the_first(self, levels, clock):
        logging.getLogger(NAME).setLevel(logging.ERROR)
        levels.set("DEBUG", logger=NAME, minutes=1)
        levels.set("INFO", logger=NAME, minutes=1)
        assert level() == logging.INFO

        clock.advance(timedelta(minutes=2))
        levels.follow()
        assert level() == logging.ERROR
        logging.getLogger(NAME).setLevel(logging.NOTSET)

    def test_a_signal_switches_to_debug_and_back(self, levels, clock, root):
        levels.toggle()
        assert root.level == logging.DEBUG
        clock.advance(timedelta(seconds=2))
        levels.toggle()
        assert root.level == logging.WARNING

    def test_each_change_says_which_level_holds_now(self, levels, clock, root, caplog):
        levels.toggle()
        clock.advance(timedelta(seconds=2))
        levels.toggle()

        assert [record.getMessage() for record in caplog.records if record.name.startswith("mainspring")] == [
            "Log level of root is now DEBUG",
            "Log level of root is now WARNING",
        ]


class TestShared:
    @pytest.fixture
    def other(self, levels, clock, tmp_path):
        """Another worker's; its loggers are this process's, so what it holds is looked at and not what it sets."""
        other = LogLevels(clock)
        levels.share(tmp_path)
        other.share(tmp_path)
        yield other
        other.restore()

    def test_a_change_reaches_the_others_when_they_look(self, levels, other):
        levels.set("DEBUG", logger=NAME, minutes=10)
        assert other.overrides == ()
        other.follow()
        assert other.overrides == levels.overrides

    def test_one_who_comes_later_has_it_from_the_start(self, levels, other, clock, tmp_path):
        levels.set("DEBUG", logger=NAME, minutes=10)
        late = LogLevels(clock)
        late.share(tmp_path)
        assert late.overrides == levels.overrides
        late.restore()

    def test_it_ends_for_all_at_the_same_time_and_does_not_come_back(self, levels, other, clock):
        levels.set("DEBUG", logger=NAME, minutes=10)
        other.follow()
        clock.advance(timedelta(minutes=11))
        for each in (levels, other):
            each.follow()
            assert each.overrides == ()

        other.set("ERROR", logger="tests.others", minutes=1)
        levels.follow()
        assert [override.logger for override in levels.overrides] == ["tests.others"]

    def test_one_signal_that_reaches_every_worker_is_one_change(self, levels, other, clock, root):
        levels.toggle()
        other.toggle()
        assert (root.level, len(levels.overrides), len(other.overrides)) == (logging.DEBUG, 1, 1)

        clock.advance(timedelta(seconds=2))
        other.toggle()
        levels.toggle()
        assert (levels.overrides, other.overrides) == ((), ())

    def test_a_file_that_is_broken_is_as_if_it_were_not_there(self, levels, other, tmp_path):
        (tmp_path / "log-levels.json").write_text("{")
        other.follow()
        assert other.overrides == ()
        levels.set("DEBUG", logger=NAME, minutes=10)
        other.follow()
        assert len(other.overrides) == 1
