"""Tells browsers to be careful."""

from typing import override

from mainspring.http._exchange import Exchange, HeaderList
from mainspring.http._pipeline import Stage

_ALWAYS: HeaderList = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"strict-origin-when-cross-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
]
_PAGES: HeaderList = [
    (
        b"content-security-policy",
        b"default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'",
    ),
    (b"cross-origin-opener-policy", b"same-origin"),
]
# Two years, the least that browsers' preload lists take.
_STRICT_TRANSPORT = (b"strict-transport-security", b"max-age=63072000; includeSubDomains")
_OURS = frozenset(name for name, _ in (*_ALWAYS, *_PAGES, _STRICT_TRANSPORT))
_SECURE = frozenset({"https", "wss"})


class SecurityHeaders(Stage):
    """Adds the headers that browsers act on today; a header that the route has set itself is left alone.

    A page (HTML) also gets a Content-Security-Policy that allows its own origin only, and a Cross-Origin-Opener-Policy:
    what they govern is documents, and servers pay for each header of each answer. `X-XSS-Protection` and
    `Expect-CT` are not sent: browsers have dropped them.

    Args:
        strict_transport: Send HSTS on secure requests. Off in development: browsers remember it for two years.
    """

    name = "security-headers"
    purpose = "nosniff, frame, referrer, permissions; HSTS in production; CSP for pages"
    cost = "1 to 5 µs"

    def __init__(self, *, strict_transport: bool) -> None:
        self._always = {False: _ALWAYS, True: [*_ALWAYS, _STRICT_TRANSPORT] if strict_transport else _ALWAYS}

    @override
    def response(self, exchange: Exchange, headers: HeaderList) -> None:
        ours = self._always[exchange.scope["scheme"] in _SECURE]
        page = taken = False
        for name, value in headers:
            lower = name.lower()
            if lower in _OURS:
                taken = True
            elif lower == b"content-type":
                page = value.lower().startswith(b"text/html")
        if page:
            ours = [*ours, *_PAGES]
        if taken:
            present = {name.lower() for name, _ in headers}
            ours = [header for header in ours if header[0] not in present]
        headers += ours
