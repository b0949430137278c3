"""Logs that a machine can read and a person can bear, with the request id on every line."""

from ._access import write_access
from ._context import LogContext, current_context, enter_context, leave_context, use_context
from ._logger import ACCESS, Logger, get_logger
from ._logging import configure_logging
from ._redaction import REDACTED, redact

__all__ = [
    "ACCESS",
    "REDACTED",
    "LogContext",
    "Logger",
    "configure_logging",
    "current_context",
    "enter_context",
    "get_logger",
    "leave_context",
    "redact",
    "use_context",
    "write_access",
]
