"""HTTP: the pipeline around the application, one seam for errors, paging, and outbound calls."""

from ._deadline import deadline
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
    Metrics,
    RequestId,
    SecurityHeaders,
    TraceContext,
    TrustedHosts,
    TrustedProxies,
)
from ._text import Text

__all__ = [
    "METRICS_PATH",
    "AccessLog",
    "Cors",
    "CursorPage",
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
    "TrustedHosts",
    "TrustedProxies",
    "deadline",
    "describe_api",
    "exchange_of",
    "problem_of",
]
