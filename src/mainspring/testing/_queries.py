"""Budgets of statements: how many a block may send to the database."""

from collections.abc import Iterator
from contextlib import contextmanager

from mainspring.data import Queries, record_queries


@contextmanager
def query_budget(most: int) -> Iterator[Queries]:
    """Fail if the block sends more statements than that, and list them: text, duration, and the line that sent each.

        with query_budget(3):
            await client.get("/orders")

    Counted are the statements of all sessions, of the block and of the requests that it makes with `client`; not what
    begins and ends transactions, and not what a service on a socket does in its own thread. What FastAPI's dependencies
    do (reading the user) counts as well. Leave the block before looking at the database for yourself.

    Raises:
        AssertionError: There were more.
    """
    with record_queries() as queries:
        yield queries
    if len(queries) > most:
        raise AssertionError(f"{_counted(len(queries))}, where {most} may be:\n{queries}")


@contextmanager
def exact_queries(number: int) -> Iterator[Queries]:
    """As `query_budget`, and fail also if there are fewer: for what must not become cheaper unnoticed, as a cache that
    answers where it should have asked.

    Raises:
        AssertionError: There were more, or fewer.
    """
    with record_queries() as queries:
        yield queries
    if len(queries) != number:
        raise AssertionError(f"{_counted(len(queries))}, where {number} should be:\n{queries}")


@contextmanager
def no_repeated_queries(most: int = 1) -> Iterator[Queries]:
    """Fail if one line sends the same statement more often than that: an N+1 query, whatever N is in the test.

    Args:
        most: 1 by default, so that a list of two rows is enough to find it.

    Raises:
        AssertionError: One did.
    """
    with record_queries() as queries:
        yield queries
    repeats = queries.repeats(most)
    if repeats:
        raise AssertionError("The same statement was sent again and again:\n" + "\n".join(map(str, repeats)))


def _counted(number: int) -> str:
    return "1 statement was sent" if number == 1 else f"{number} statements were sent"
