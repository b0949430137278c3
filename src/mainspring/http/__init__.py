"""HTTP: the pipeline around the application, one seam for errors, paging, and outbound calls."""

from ._deadline import deadline
from ._drain import Drain
from ._errors import ErrorSeam, problem_of
from ._exchange import Exchange, HeaderList, Reply, exchange_of
from ._index import RouteIndex
from ._openapi import describe_api
from ._paging import Page, PageParams
from ._pipeline import Pipeline, Stage
from ._stages import AccessLog, Cors, RequestId, SecurityHeaders, TraceContext, TrustedHosts, TrustedProxies
from ._text import Text

__all__ = [
    "AccessLog",
    "Cors",
    "Drain",
    "ErrorSeam",
    "Exchange",
    "HeaderList",
    "Page",
    "PageParams",
    "Pipeline",
    "Reply",
    "RequestId",
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
