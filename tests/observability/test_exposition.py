"""What the workers of a service have counted is added up, and outlives them."""

import pytest
from prometheus_client import REGISTRY, Counter, Gauge

from mainspring.observability import Exposition, Family, Seat, single


class Worker:
    """One that counts what it is told to."""

    def __init__(self, directory):
        self.requests = 0
        self.buckets = [0.0, 0.0, 0.0]
        self.busy = 0
        self.exposition = Exposition([self.families])
        self.seat = Seat(directory)
        self.exposition.join(self.seat)

    def families(self):
        yield single("requests", "counter", "Requests.", self.requests)
        yield single("busy", "gauge", "Busy.", self.busy)
        yield Family("seconds", "histogram", "Seconds.", (), (1.0,), {(): self.buckets})
        yield Family("service", "info", "What.", ("name",), values={("shop",): [1]})

    def end(self):
        self.exposition.leave()
        self.seat.leave()

    def die(self):
        """As after `kill -9`: the lock is gone, and nothing was written down any more."""
        self.seat.leave()

    def told(self):
        return {
            (sample.name, *sorted(sample.labels.items())): sample.value
            for metric in self.exposition.collect()
            for sample in metric.samples
        }

    def __call__(self, name, /, **labels):
        return self.told().get((name, *sorted(labels.items())))


@pytest.fixture
def start(tmp_path):
    workers = []

    def start():
        workers.append(Worker(tmp_path))
        return workers[-1]

    return start


class TestSeveral:
    def test_counters_gauges_and_histograms_are_added_up_wherever_one_asks(self, start):
        one, two = start(), start()
        one.requests, two.requests = 3, 4
        one.busy, two.busy = 1, 2
        one.buckets, two.buckets = [1, 2, 10.5], [3, 0, 0.5]
        one.exposition.publish()
        two.exposition.publish()

        for worker in (one, two):
            assert worker("requests_total") == 7
            assert worker("busy") == 3
            assert worker("seconds_bucket", le="1.0") == 4
            assert worker("seconds_bucket", le="+Inf") == worker("seconds_count") == 6
            assert worker("seconds_sum") == 11
            assert worker("service_info", name="shop") == 1

    def test_what_prometheus_client_has_counted_itself_is_added_up_and_gauges_are_told_apart(self, start):
        orders, stock = Counter("orders", "Orders."), Gauge("stock", "Stock.")
        try:
            one, two = start(), start()
            orders.inc(2)
            stock.set(5)
            one.exposition.publish()
            # Both stand for processes of their own here, and so count the same twice.
            assert two("orders_total") == 4
            assert (two("stock", worker="0"), two("stock", worker="1")) == (5, 5)
        finally:
            REGISTRY.unregister(orders)
            REGISTRY.unregister(stock)

    def test_a_gauge_that_json_cannot_say_is_left_out(self, start):
        stock = Gauge("stock", "Stock.")
        try:
            stock.set(float("inf"))
            assert start()("stock", worker="0") is None
        finally:
            REGISTRY.unregister(stock)


class TestEnded:
    @pytest.mark.parametrize("how", ["end", "die"])
    def test_its_counters_stay_and_its_gauges_end_with_it(self, start, how):
        one, two = start(), start()
        two.requests, two.busy, two.buckets = 5, 9, [1, 1, 2.0]
        two.exposition.publish()
        assert (one("requests_total"), one("busy")) == (5, 9)

        getattr(two, how)()

        assert (one("requests_total"), one("busy"), one("seconds_count")) == (5, 0, 2)

    def test_who_takes_its_seat_goes_on_from_there(self, start):
        one, two = start(), start()
        for _ in range(20):
            two.requests += 1
            two.busy = 1
            two.exposition.publish()
            told = one("requests_total")
            two.die()
            assert one("requests_total") == told
            two = start()
            assert (one("requests_total"), one("busy")) == (told, 0)
        assert two.seat.number == 1
        assert one("requests_total") == 20

    def test_a_count_that_was_told_is_not_lost_even_when_it_was_told_directly(self, start):
        one, two = start(), start()
        two.requests = 7
        told = two("requests_total")
        two.die()

        assert one("requests_total") == told == 7

    def test_a_new_version_with_other_buckets_begins_anew_and_breaks_nothing(self, start):
        one, two = start(), start()
        two.buckets = [1, 1, 2.0]
        two.end()
        changed = start()
        finer = Family("seconds", "histogram", "Seconds.", (), (1.0, 2.0), {(): [1, 1, 1, 3.0]})
        changed.exposition = Exposition([lambda: [finer]])
        changed.exposition.join(changed.seat)

        assert changed("seconds_count") == 3
        assert one("seconds_count") == 0

    def test_a_file_that_is_broken_counts_nothing(self, start, tmp_path):
        one = start()
        one.requests = 1
        (tmp_path / "worker-5.lock").touch()
        for content in (b"", b"{", b"[[1]]", b"[null]", b"7"):
            (tmp_path / "worker-5.json").write_bytes(content)
            assert one("requests_total") == 1


class TestSeats:
    def test_the_lowest_free_one_is_taken(self, start):
        one, two, three = start(), start(), start()
        assert [worker.seat.number for worker in (one, two, three)] == [0, 1, 2]
        two.end()
        one.end()
        assert [start().seat.number for _ in range(3)] == [0, 1, 3]

    def test_the_run_directory_is_for_this_user_only(self, tmp_path):
        directory = tmp_path / "run"
        Seat(directory).leave()

        assert directory.stat().st_mode & 0o777 == 0o700
