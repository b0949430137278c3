"""Tracing with OpenTelemetry's SDK: imported only where an endpoint is set, since the extra may be missing."""

from ._provider import Spans
from ._span import fail

__all__ = ["Spans", "fail"]
