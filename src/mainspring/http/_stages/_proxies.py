"""Learns the client's address and the scheme from proxies that are trusted, and from nobody else."""

import re
from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Literal, override

from mainspring.http._exchange import Exchange, Reply
from mainspring.http._pipeline import Stage

_MOST_REMEMBERED = 1024
# Some proxies (Traefik) report the scheme of a WebSocket as such.
_SCHEMES = {"http": "http", "https": "https", "ws": "http", "wss": "https"}

# RFC 7239 section 4: a token, and a token or a quoted string.
_PAIR = re.compile(r"""([!#$%&'*+.^_`|~0-9A-Za-z-]+)=(?:"((?:[^"\\]|\\.)*)"|([!#$%&'*+.^_`|~0-9A-Za-z-]+))""")

type _Hop = tuple[str, str]
"""Address and scheme, as a proxy has reported them; empty where it has not."""

# Nobody that could be trusted.
_OBSCURE: _Hop = ("unknown", "")


class TrustedProxies(Stage):
    """Replaces the peer's address by the one its proxies report.

    The hops are read from their right end: each was written by the hop after it, so the first address that is no trusted
    proxy is the client. What stands left of it, the client may have invented.

    One kind of header is read and the other ignored: a proxy writes one of them and passes on what clients write into
    the other.

    Args:
        trusted: Addresses or networks of the proxies (`10.0.0.0/8`), or `*` for any peer. An IPv4 address also matches
            as a dual-stack listener shows it (`::ffff:10.0.0.1`).
        header: `x-forwarded` for `X-Forwarded-For` and `X-Forwarded-Proto`, `forwarded` for RFC 7239.

    Raises:
        ValueError: An entry is no address and no network.
    """

    name = "trusted-proxies"
    purpose = "client address and scheme from forwarding headers, believed from trusted peers only"
    cost = "1 to 5 µs"

    def __init__(self, trusted: Iterable[str], *, header: Literal["x-forwarded", "forwarded"] = "x-forwarded") -> None:
        names = tuple(trusted)
        # Peers are few, parsing an address costs several microseconds, and headers are anybody's to fill: so the first
        # few judgements are kept and no more.
        self._judged: dict[str, bool] = {}
        self._anybody = "*" in names
        self._networks: list[IPv4Network | IPv6Network] = [ip_network(n, strict=False) for n in names if n != "*"]
        self._read = _forwarded if header == "forwarded" else _x_forwarded

    @override
    def request(self, exchange: Exchange) -> Reply | None:
        scope = exchange.scope
        peer = scope.get("client")
        if peer is None or not self._trusts(peer[0]):
            return None
        hops = self._read(exchange)
        if hops is None:
            return None
        address, scheme = self._first_stranger(hops)
        if address:
            scope["client"] = (address, 0)
        if known := _SCHEMES.get(scheme.lower()):
            scope["scheme"] = known.replace("http", "ws") if scope["type"] == "websocket" else known
        return None

    def _first_stranger(self, hops: list[_Hop]) -> _Hop:
        for hop in reversed(hops):
            if not self._trusts(hop[0]):
                return hop
        return hops[0]

    def _trusts(self, address: str) -> bool:
        if self._anybody:
            return True
        known = self._judged.get(address)
        if known is None:
            known = self._judge(address)
            if len(self._judged) < _MOST_REMEMBERED:
                self._judged[address] = known
        return known

    def _judge(self, address: str) -> bool:
        try:
            parsed = ip_address(address)
        except ValueError:
            return False
        if isinstance(parsed, IPv6Address):
            parsed = parsed.ipv4_mapped or parsed
        return any(parsed in network for network in self._networks)


def _x_forwarded(exchange: Exchange) -> list[_Hop] | None:
    addresses = _listed(exchange, b"x-forwarded-for")
    schemes = _listed(exchange, b"x-forwarded-proto")
    if not addresses and not schemes:
        return None
    # There need not be as many of these as of the others; the last one is the nearest proxy's.
    scheme = schemes[-1] if schemes else ""
    return [(_bare(address), scheme) for address in addresses] or [("", scheme)]


def _forwarded(exchange: Exchange) -> list[_Hop] | None:
    """The hops of `Forwarded`. Elements are told apart by commas, also within quotes: no address holds one, and a quote
    that a client has left open must not hide what the proxies wrote behind it.
    """
    elements = _listed(exchange, b"forwarded")
    return [_element(element) for element in elements] or None


def _element(text: str) -> _Hop:
    pairs = [_PAIR.fullmatch(pair.strip()) for pair in text.split(";")]
    if not all(pairs):
        return _OBSCURE
    said = {pair[1].lower(): pair[2] if pair[2] is not None else pair[3] for pair in pairs if pair}
    return _bare(said.get("for", "unknown")), said.get("proto", "")


def _listed(exchange: Exchange, name: bytes) -> list[str]:
    if exchange.header(name) is None:
        return []
    given = [value for key, value in exchange.headers if key == name]
    joined = b",".join(given).decode("latin-1")
    if "," not in joined:
        # One hop, as nearly always.
        return [item] if (item := joined.strip()) else []
    return [item for part in joined.split(",") if (item := part.strip())]


def _bare(item: str) -> str:
    """The address without port and brackets: `[2001:db8::1]:443` and `192.0.2.1:443` are both in use."""
    if item.startswith("["):
        return item[1:].partition("]")[0]
    return item.partition(":")[0] if item.count(":") == 1 else item
