"""Agents: a provider that answers, tools it may call, and the loop between them with a full trace."""

from ._errors import ModelAnswerInvalid, ModelRefused, ModelUnavailable
from ._events import (
    Outcome,
    RunEnded,
    RunEvent,
    RunFailure,
    RunResult,
    RunStarted,
    Step,
    StepCompleted,
    StepKind,
    StepStarted,
    TextStreamed,
    ToolCalled,
    ToolReturned,
)
from ._provider import Provider
from ._providers import OpenAIProvider, ScriptedProvider
from ._resource import provider_resource
from ._run import DEFAULT_LIMITS, RunLimits, run_agent
from ._settings import AISettings
from ._tools import FunctionTool, Tool, ToolResult, call_tool, in_thread, tool_spec
from ._types import Completion, CompletionRequest, FinishReason, Message, Role, TextDelta, ToolCall, ToolSpec, Usage

__all__ = [
    "DEFAULT_LIMITS",
    "AISettings",
    "Completion",
    "CompletionRequest",
    "FinishReason",
    "FunctionTool",
    "Message",
    "ModelAnswerInvalid",
    "ModelRefused",
    "ModelUnavailable",
    "OpenAIProvider",
    "Outcome",
    "Provider",
    "Role",
    "RunEnded",
    "RunEvent",
    "RunFailure",
    "RunLimits",
    "RunResult",
    "RunStarted",
    "ScriptedProvider",
    "Step",
    "StepCompleted",
    "StepKind",
    "StepStarted",
    "TextDelta",
    "TextStreamed",
    "Tool",
    "ToolCall",
    "ToolCalled",
    "ToolResult",
    "ToolReturned",
    "ToolSpec",
    "Usage",
    "call_tool",
    "in_thread",
    "provider_resource",
    "run_agent",
    "tool_spec",
]
