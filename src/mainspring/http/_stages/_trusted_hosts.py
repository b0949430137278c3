"""Answers only to its own names."""

import re
from collections.abc import Iterable
from typing import override

from mainspring.errors import BadRequest
from mainspring.http._exchange import Exchange, Reply
from mainspring.http._pipeline import Stage

from ._probes import is_probe

# A name or an address, then perhaps a port (RFC 9110 section 7.2); what stands after that would end up in links.
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::[0-9]*)?")
_MOST_REMEMBERED = 256


class TrustedHosts(Stage):
    """Refuses requests whose Host header names somebody else, so that links and caches cannot be poisoned.

    Args:
        allowed: Names without port; `*.example.com` matches every subdomain (not the domain itself); `*` matches all.
            Probes and scrapes are answered under any name: orchestrators and Prometheus ask by address.
    """

    name = "trusted-hosts"
    purpose = "400 for a Host header that is not ours"
    cost = "under 1 µs"

    def __init__(self, allowed: Iterable[str]) -> None:
        names = [name.lower() for name in allowed]
        self._any = "*" in names
        self._exact = frozenset(name for name in names if not name.startswith("*."))
        # As they were written, for the next time; a client may write the same name in many ways.
        self._ours: set[bytes] = set()
        self._suffixes = tuple(name[1:] for name in names if name.startswith("*."))

    @override
    def request(self, exchange: Exchange) -> Reply | None:
        given = exchange.header(b"host") or b""
        if self._any or given in self._ours or is_probe(exchange.scope["path"]):
            return None
        if not self._allows(given):
            raise BadRequest("This service does not answer to that Host header.")
        if len(self._ours) < _MOST_REMEMBERED:
            self._ours.add(given)
        return None

    def _allows(self, given: bytes) -> bool:
        host = _HOST.fullmatch(given.decode("latin-1").lower())
        return host is not None and (host[1] in self._exact or host[1].endswith(self._suffixes))
