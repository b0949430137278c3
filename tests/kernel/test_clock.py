"""Clocks."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from mainspring.kernel import FrozenClock, SystemClock

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)


def test_the_systems_clock_is_aware_and_in_utc():
    assert SystemClock().now().utcoffset() == timedelta(0)


def test_monotonic_time_does_not_run_backwards():
    clock = SystemClock()

    assert clock.monotonic() <= clock.monotonic()


def test_a_frozen_clock_stands_still():
    clock = FrozenClock(NOON)

    assert (clock.now(), clock.now(), clock.monotonic()) == (NOON, NOON, 0.0)


def test_advancing_moves_both_times():
    clock = FrozenClock(NOON)

    clock.advance(timedelta(minutes=90))

    assert (clock.now(), clock.monotonic()) == (NOON + timedelta(minutes=90), 5400.0)


def test_moving_to_an_earlier_date_never_turns_monotonic_time_back():
    clock = FrozenClock(NOON)
    clock.advance(timedelta(seconds=10))

    clock.move_to(NOON - timedelta(days=1))

    assert (clock.now(), clock.monotonic()) == (NOON - timedelta(days=1), 10.0)


def test_moving_to_a_later_date_takes_as_long_as_it_says():
    clock = FrozenClock(NOON)

    clock.move_to(NOON + timedelta(hours=1))
    clock.move_to(NOON)
    clock.move_to(NOON + timedelta(seconds=1))

    assert (clock.now(), clock.monotonic()) == (NOON + timedelta(seconds=1), 3601.0)


def test_a_refused_move_moves_nothing():
    clock = FrozenClock(NOON)

    with pytest.raises(ValueError, match="forward only"):
        clock.advance(timedelta(microseconds=-1))
    with pytest.raises(ValueError, match="no timezone"):
        clock.move_to(NOON.replace(tzinfo=None))

    assert (clock.now(), clock.monotonic()) == (NOON, 0.0)


def test_a_clock_is_not_advanced_backwards():
    with pytest.raises(ValueError, match="move_to"):
        FrozenClock(NOON).advance(timedelta(seconds=-1))


def test_a_naive_moment_is_refused_when_made_and_when_moved():
    naive = NOON.replace(tzinfo=None)

    with pytest.raises(ValueError, match="no timezone"):
        FrozenClock(naive)
    with pytest.raises(ValueError, match="no timezone"):
        FrozenClock(NOON).move_to(naive)


def test_another_zone_is_shown_in_utc():
    madrid = datetime(2026, 7, 1, 14, tzinfo=timezone(timedelta(hours=2)))

    assert FrozenClock(madrid).now() == NOON
    assert FrozenClock(madrid).now().tzinfo is UTC
