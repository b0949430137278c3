"""Executions: an agent at work, streamed while it goes and kept with its whole trace."""

from .models import Execution, ExecutionStep
from .module import module
from .service import ExecutionService

__all__ = ["Execution", "ExecutionService", "ExecutionStep", "module"]
