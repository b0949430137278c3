"""Logs that a machine can read and a person can bear, with the request id on every line."""

from ._access import write_access
from ._context import LogContext, current_context, enter_context, leave_context, use_context
from ._logger import ACCESS, Logger, get_logger
from ._logging import configure_logging
from ._outbound import send_traced
from ._redaction import REDACTED, redact, redact_error
from ._sentry import ErrorReports
from ._traceparent import TraceParent, new_trace_id, parse_traceparent
from ._tracing import Call, Tracing, begin_call, continue_trace, current_traceparent, is_traced, span

__all__ = [
    "ACCESS",
    "REDACTED",
    "Call",
    "ErrorReports",
    "LogContext",
    "Logger",
    "TraceParent",
    "Tracing",
    "begin_call",
    "configure_logging",
    "continue_trace",
    "current_context",
    "current_traceparent",
    "enter_context",
    "get_logger",
    "is_traced",
    "leave_context",
    "new_trace_id",
    "parse_traceparent",
    "redact",
    "redact_error",
    "send_traced",
    "span",
    "use_context",
    "write_access",
]
