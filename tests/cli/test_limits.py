"""When a worker asks to be replaced."""

import time

from mainspring.cli._limits import Limits


def test_by_default_never(compose):
    limits = Limits.of(compose()())

    assert not limits.reached(10**12)


def test_after_so_many_requests_give_or_take_a_tenth_and_not_all_workers_alike(compose):
    limits = [Limits.of(compose(worker_max_requests=1000)()) for _ in range(30)]

    assert all(900 <= limit.requests <= 1100 for limit in limits)
    assert len({limit.requests for limit in limits}) > 1
    assert not limits[0].reached(899)
    assert limits[0].reached(1100)


def test_after_some_time_give_or_take_a_tenth(compose):
    before = time.monotonic()
    limits = Limits.of(compose(worker_max_lifetime=3600)())

    assert 0.9 * 3600 <= limits.until - before <= 1.1 * 3600 + 60
    assert not limits.reached(10**9)
    assert Limits(requests=float("inf"), until=before).reached(0)
