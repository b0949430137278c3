"""Logs that a machine can read and a person can bear, with the request id on every line."""

from ._access import write_access
from ._context import LogContext, current_context, enter_context, leave_context, use_context
from ._logger import ACCESS, Logger, get_logger
from ._logging import buffer_logs, configure_logging, flush_logs
from ._redaction import REDACTED, redact

__all__ = [
    "ACCESS",
    "REDACTED",
    "LogContext",
    "Logger",
    "buffer_logs",
    "configure_logging",
    "current_context",
    "enter_context",
    "flush_logs",
    "get_logger",
    "leave_context",
    "redact",
    "use_context",
    "write_access",
]
