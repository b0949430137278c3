"""Logs that a machine can read and a person can bear, with the request id on every line."""

from ._access import write_access
from ._context import LogContext, current_context, enter_context, leave_context, use_context
from ._exposition import Exposition, prometheus_installed
from ._families import Family, single
from ._levels import Level, LogLevels
from ._logger import ACCESS, Logger, get_logger
from ._logging import buffer_logs, configure_logging, flush_logs
from ._loop_watch import LoopWatch
from ._outbound import send_traced
from ._redaction import REDACTED, redact, redact_error, type_of
from ._seats import RUN_DIRECTORY, Seat, run_directory, try_lock
from ._sentry import ErrorReports
from ._traceparent import TraceParent, new_trace_id, parse_traceparent
from ._tracing import Call, Tracing, begin_call, continue_trace, current_traceparent, is_traced, span

__all__ = [
    "ACCESS",
    "REDACTED",
    "RUN_DIRECTORY",
    "Call",
    "ErrorReports",
    "Exposition",
    "Family",
    "Level",
    "LogContext",
    "LogLevels",
    "Logger",
    "LoopWatch",
    "Seat",
    "TraceParent",
    "Tracing",
    "begin_call",
    "buffer_logs",
    "configure_logging",
    "continue_trace",
    "current_context",
    "current_traceparent",
    "enter_context",
    "flush_logs",
    "get_logger",
    "is_traced",
    "leave_context",
    "new_trace_id",
    "parse_traceparent",
    "prometheus_installed",
    "redact",
    "redact_error",
    "run_directory",
    "send_traced",
    "single",
    "span",
    "try_lock",
    "type_of",
    "use_context",
    "write_access",
]
