"""Logs that a machine can read and a person can bear, with the request id on every line."""

from ._access import write_access
from ._context import LogContext, current_context, enter_context, leave_context, use_context
from ._exposition import Exposition, prometheus_installed
from ._families import Family, single
from ._levels import LogLevels
from ._logger import ACCESS, Logger, get_logger
from ._logging import configure_logging
from ._loop_watch import LoopWatch
from ._redaction import REDACTED, redact
from ._seats import RUN_DIRECTORY, Seat, run_directory, try_lock

__all__ = [
    "ACCESS",
    "REDACTED",
    "RUN_DIRECTORY",
    "Exposition",
    "Family",
    "LogContext",
    "LogLevels",
    "Logger",
    "LoopWatch",
    "Seat",
    "configure_logging",
    "current_context",
    "enter_context",
    "get_logger",
    "leave_context",
    "prometheus_installed",
    "redact",
    "run_directory",
    "single",
    "try_lock",
    "use_context",
    "write_access",
]
