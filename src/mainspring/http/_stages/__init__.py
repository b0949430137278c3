"""The stages of the pipeline, in the order of a request."""

from ._access_log import AccessLog
from ._cors import Cors
from ._error_reports import ErrorReporting
from ._metrics import Metrics
from ._probes import METRICS_PATH
from ._proxies import TrustedProxies
from ._request_id import RequestId
from ._security_headers import SecurityHeaders
from ._trace_context import TraceContext
from ._tracing import TracingStage
from ._trusted_hosts import TrustedHosts

__all__ = [
    "METRICS_PATH",
    "AccessLog",
    "Cors",
    "ErrorReporting",
    "Metrics",
    "RequestId",
    "SecurityHeaders",
    "TraceContext",
    "TracingStage",
    "TrustedHosts",
    "TrustedProxies",
]
