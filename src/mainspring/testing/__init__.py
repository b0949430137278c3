"""What tests of a service need: the pytest plugin, and its parts for use without fixtures.

The plugin is loaded into every pytest run of every project that has Mainspring installed, so neither it nor this module
imports anything before a fixture asks for it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._databases import Schema
    from ._lifespan import running
    from ._queries import exact_queries, no_repeated_queries, query_budget
    from ._server import LiveServer, serving
    from ._tenant_requests import TenantResource, cross_tenant_requests
    from ._tenant_stores import cross_tenant_tests
    from ._tenant_world import TenantCase

__all__ = [
    "LiveServer",
    "Schema",
    "TenantCase",
    "TenantResource",
    "cross_tenant_requests",
    "cross_tenant_tests",
    "exact_queries",
    "no_repeated_queries",
    "query_budget",
    "running",
    "serving",
]

_HOMES = {
    "LiveServer": "_server",
    "Schema": "_databases",
    "TenantCase": "_tenant_world",
    "TenantResource": "_tenant_requests",
    "cross_tenant_requests": "_tenant_requests",
    "cross_tenant_tests": "_tenant_stores",
    "exact_queries": "_queries",
    "no_repeated_queries": "_queries",
    "query_budget": "_queries",
    "running": "_lifespan",
    "serving": "_server",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{home}", __name__), name)
