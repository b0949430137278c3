"""HTTP: the pipeline around the application, one seam for errors, paging, and outbound calls."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ._body_limit import BodyLimit
from ._deadline import deadline
from ._drain import Drain
from ._errors import ErrorSeam, problem_of
from ._exchange import Exchange, HeaderList, Reply, exchange_of
from ._index import RouteIndex
from ._openapi import describe_api
from ._paging import CursorPage, Page, PageParams
from ._pipeline import Pipeline, Stage
from ._preconditions import IfMatch, IfNoneMatch, RequiredIfMatch
from ._stages import (
    METRICS_PATH,
    AccessLog,
    Cors,
    ErrorReporting,
    Metrics,
    RequestId,
    SecurityHeaders,
    TraceContext,
    TracingStage,
    TrustedHosts,
    TrustedProxies,
)
from ._text import Text

if TYPE_CHECKING:
    from ._client import Client

__all__ = [
    "METRICS_PATH",
    "AccessLog",
    "BodyLimit",
    "Client",
    "Cors",
    "CursorPage",
    "Drain",
    "ErrorReporting",
    "ErrorSeam",
    "Exchange",
    "HeaderList",
    "IfMatch",
    "IfNoneMatch",
    "Metrics",
    "Page",
    "PageParams",
    "Pipeline",
    "Reply",
    "RequestId",
    "RequiredIfMatch",
    "RouteIndex",
    "SecurityHeaders",
    "Stage",
    "Text",
    "TraceContext",
    "TracingStage",
    "TrustedHosts",
    "TrustedProxies",
    "deadline",
    "describe_api",
    "exchange_of",
    "problem_of",
]


def __getattr__(name: str) -> Any:
    # httpx2 takes 60 ms to import, and not every service calls others.
    if name == "Client":
        return import_module("._client", __name__).Client
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
