"""UUIDs of version 7 (RFC 9562)."""

import threading
import time
from uuid import RFC_4122

from mainspring.kernel import new_id
from mainspring.kernel._ids import _Generator


def test_an_id_has_version_seven_and_the_rfcs_variant():
    assert {(made.version, made.variant) for made in (new_id() for _ in range(5000))} == {(7, RFC_4122)}


def test_it_sorts_the_same_as_a_number_as_text_and_as_bytes():
    made = [new_id() for _ in range(5000)]

    assert made == sorted(made, key=str) == sorted(made, key=lambda one: one.bytes)


def test_neighbours_within_a_millisecond_cannot_be_guessed_from_one_another():
    made = [new_id().int & 0xFFFF_FFFF for _ in range(5000)]

    assert len(set(made)) > 4990


def test_the_first_48_bits_are_the_millisecond_it_was_made_in():
    before = time.time_ns() // 1_000_000
    made = _Generator()()
    after = time.time_ns() // 1_000_000

    assert before <= made.int >> 80 <= after


def test_ids_grow_within_a_millisecond_and_over_many():
    made = [new_id() for _ in range(200_000)]

    assert made == sorted(made)
    assert len(set(made)) == len(made)


def test_threads_never_make_the_same_id():
    made: list = []

    def work():
        mine = [new_id() for _ in range(20_000)]
        assert mine == sorted(mine)
        made.extend(mine)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 80_000


def test_an_id_handed_to_another_thread_is_smaller_than_any_made_there():
    made: list = []
    turns = [threading.Semaphore(1), threading.Semaphore(0)]

    def work(mine, other):
        for _ in range(2000):
            mine.acquire()
            made.append(new_id())
            other.release()

    threads = [threading.Thread(target=work, args=pair) for pair in (turns, turns[::-1])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(made) == 4000
    assert made == sorted(made)


def test_ids_keep_growing_when_the_machines_clock_steps_back():
    generator = _Generator()
    first = generator()
    generator._millisecond += 60_000

    later = [generator() for _ in range(1000)]

    assert first < later[0]
    assert later == sorted(later)


def test_a_counter_that_crosses_the_fixed_bits_in_its_middle_keeps_growing():
    generator = _Generator()
    generator._millisecond = 1 << 47
    generator._counter = (1 << 30) - 3

    made = [generator() for _ in range(6)]

    assert made == sorted(made)
    assert {one.int >> 80 for one in made} == {1 << 47}


def test_a_counter_that_is_full_moves_on_to_the_next_millisecond():
    generator = _Generator()
    generator()
    generator._millisecond += 60_000
    generator._counter = (1 << 42) - 1
    full = generator._millisecond

    made = generator()

    assert made.int >> 80 == full + 1
    assert made.version == 7
