"""Who has written reads what was written: for a while from the database itself and not from a replica behind it."""

import time
from collections import OrderedDict
from typing import override

from fastapi.requests import HTTPConnection

from mainspring.http import Exchange, HeaderList, Stage, exchange_of

_COOKIE = "primary_until"
_MOST_REMEMBERED = 10_000


class ReadYourWrites(Stage):
    """Remembers who has written through a `WriteSession`, so that their next reads are fresh. A handler that opens units of
    work itself (`database.write`) says nothing to it.

    Browsers get a cookie with the moment until when; it holds in all processes. Clients that sign in with an
    `Authorization` header keep no cookies: they are remembered here, by this process alone, so with several processes
    such a client may still read from the replica what it wrote through another. Where that matters, read with
    `FreshReadSession`.

    Args:
        seconds: How long; a little more than the replica is usually behind.
        secure: Send the cookie over HTTPS only.
    """

    name = "read-your-writes"
    purpose = "who has written reads from the database itself for a while"
    cost = "under 1 µs"

    def __init__(self, seconds: float, *, secure: bool) -> None:
        self._seconds = seconds
        attributes = f"; Max-Age={max(1, round(seconds))}; Path=/; HttpOnly; SameSite=Lax"
        self._attributes = f"{attributes}; Secure" if secure else attributes
        # By a hash that differs from one process to the next: nobody reads a token out of it.
        self._until: OrderedDict[int, float] = OrderedDict()

    @override
    def response(self, exchange: Exchange, headers: HeaderList) -> None:
        if not exchange.wrote:
            return
        until = time.time() + self._seconds
        headers.append((b"set-cookie", f"{_COOKIE}={until:.3f}{self._attributes}".encode()))
        credentials = exchange.header(b"authorization")
        if credentials is not None:
            self._until[hash(credentials)] = until
            self._until.move_to_end(hash(credentials))
            if len(self._until) > _MOST_REMEMBERED:
                self._until.popitem(last=False)

    def wants_fresh(self, connection: HTTPConnection) -> bool:
        """Whether the client of a request has written a moment ago, or the request itself has."""
        exchange = exchange_of(connection.scope)
        if exchange is not None and exchange.wrote:
            return True
        now = time.time()
        credentials = None if exchange is None else exchange.header(b"authorization")
        if credentials is not None and self._until.get(hash(credentials), 0) > now:
            return True
        try:
            until = float(connection.cookies.get(_COOKIE, "0"))
        except ValueError:
            return False
        # What lies further ahead than we ever say is a client's own wish, and no reason to spare the replica.
        return now < until <= now + self._seconds
