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
        self._suffixes = tuple(name[1:] for name in names if name.startswith("*."))

    @override
    def request(self, exchange: Exchange) -> Reply | None:
        if self._any or is_probe(exchange.scope["path"]):
            return None
        host = _HOST.fullmatch((exchange.header(b"host") or b"").decode("latin-1").lower())
        if host is not None and (host[1] in self._exact or host[1].endswith(self._suffixes)):
            return None
        raise BadRequest("This service does not answer to that Host header.")
