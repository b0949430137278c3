"""What a developer sees when the service is ready: where to look, and how to get in."""

import socket
from typing import TYPE_CHECKING

from ._output import bold

if TYPE_CHECKING:
    from mainspring.app import Application

# What listens everywhere is not an address to open.
_WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 -- compared, not bound


def banner(app: "Application", listener: socket.socket, *, watched: tuple[str, ...] = ()) -> str:
    """The URLs of a running service, its database, how to sign in, and how to stop it."""
    from mainspring.app import composition_of

    found = composition_of(app)
    url = url_of(listener)
    paths = {route.path for route in found.routes}
    prefix = app.settings.api_prefix
    database = next((r.backend for r in found.resources if r.name == "database"), "")
    rows = [
        ("page", f"{url}/", "/" in paths),
        ("API", f"{url}{prefix}", True),
        ("API docs", f"{url}/docs", "/docs" in paths),
        ("health", f"{url}/health/ready", True),
        ("database", database, bool(database)),
        ("watching", ", ".join(watched), bool(watched)),
    ]
    lines = [f"{bold(found.name)} is ready ({found.environment})", ""]
    lines += [f"{name:<9} {value}" for name, value, shown in rows if shown]
    if f"{prefix}/auth/login" in paths:
        where = "on the page" if "/" in paths else f"by POST {prefix}/users"
        lines += ["", f"To sign in, register {where}; POST {prefix}/auth/login then gives a token."]
    return "\n".join(["", *(f"  {line}".rstrip() for line in [*lines, "", "Ctrl-C stops."]), ""])


def url_of(listener: socket.socket) -> str:
    """Where a listening socket can be reached from this machine."""
    address, port, *_ = listener.getsockname()
    host = _WILDCARDS.get(address, address)
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"
