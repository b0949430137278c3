"""A run's events as Server-Sent Events."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

from fastapi.sse import ServerSentEvent

from mainspring.ai import (
    RunEnded,
    RunEvent,
    RunResult,
    RunStarted,
    StepCompleted,
    StepStarted,
    TextStreamed,
    ToolCalled,
    ToolReturned,
)

from .service import status_of


async def as_sse(execution_id: UUID, events: AsyncIterator[RunEvent]) -> AsyncIterator[ServerSentEvent]:
    """Name, number and flatten the events for a browser."""
    async for event in events:
        name, data = _described(execution_id, event)
        yield ServerSentEvent(event=name, id=str(event.seq), data=data)


def _described(execution_id: UUID, event: RunEvent) -> tuple[str, dict[str, Any]]:
    match event:
        case RunStarted():
            started = {"execution_id": str(execution_id), "model": event.provider, "is_model": event.is_model}
            return "execution.started", started
        case StepStarted():
            return "step.started", {"seq": event.step, "kind": event.kind, "name": event.name}
        case TextStreamed():
            return "text.delta", {"seq": event.step, "text": event.text}
        case ToolCalled():
            called = {"seq": event.step, "call_id": event.call_id, "name": event.name, "arguments": event.arguments}
            return "tool.called", called
        case ToolReturned():
            return "tool.returned", {
                "seq": event.step,
                "call_id": event.call_id,
                "name": event.name,
                "result": event.output,
                "error": event.error,
                "milliseconds": round(event.milliseconds, 3),
            }
        case StepCompleted():
            usage = event.record.usage
            return "step.completed", {
                "seq": event.step,
                "kind": event.record.kind,
                "name": event.record.name,
                "milliseconds": round(event.record.milliseconds, 3),
                "input_tokens": usage.input_tokens if usage else None,
                "output_tokens": usage.output_tokens if usage else None,
            }
        case RunEnded():
            return _ended(execution_id, event.result)


def _ended(execution_id: UUID, result: RunResult) -> tuple[str, dict[str, Any]]:
    if result.failure is not None:
        error = {"code": result.failure.code, "message": result.failure.message}
        return "execution.failed", {"execution_id": str(execution_id), "error": error}
    return "execution.completed", {
        "execution_id": str(execution_id),
        "status": status_of(result),
        "outcome": result.outcome,
        "detail": result.detail,
        "output": result.answer,
        "input_tokens": result.usage.input_tokens,
        "output_tokens": result.usage.output_tokens,
        "milliseconds": round(result.milliseconds, 3),
    }
