"""Runs agents and keeps what they did."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import timedelta
from typing import Any
from uuid import UUID

import anyio
from sqlalchemy import update

from deepagents.agents import Agent
from deepagents.toolbox import Toolbox
from mainspring.ai import Message, Provider, RunEnded, RunEvent, RunLimits, RunResult, Step, StepCompleted, run_agent
from mainspring.data import Database
from mainspring.errors import Conflict
from mainspring.kernel import Clock, new_id
from mainspring.observability import get_logger

from .models import Execution, ExecutionStep
from .schemas import ExecutionDetail, ExecutionError, ExecutionOut, StepOut

_log = get_logger(__name__)

# What a run may take beyond its deadline to write its last step.
_GRACE = timedelta(seconds=30)
_INTERRUPTED = ExecutionError(
    code="EXECUTION_INTERRUPTED", message="The service stopped while this was running. Send the message again."
)


class ExecutionService:
    """Runs agents.

    A run takes seconds to minutes, so it holds no unit of work: each step is committed by itself as it completes, and
    what a crash leaves behind is a trace up to the last whole step.

    Args:
        database: Where executions are kept.
        provider: Who answers.
        tools: What agents may use.
        limits: Of every run.
        clock: The time.
    """

    def __init__(
        self, *, database: Database, provider: Provider, tools: Toolbox, limits: RunLimits, clock: Clock
    ) -> None:
        self.provider = provider
        self._database = database
        self._tools = tools
        self._limits = limits
        self._clock = clock

    async def start(self, agent: Agent, text: str) -> Execution:
        """Record that an agent was sent a message.

        Raises:
            Conflict: The agent is switched off.
        """
        if not agent.is_active:
            raise Conflict("This agent is switched off. Set is_active to true first.")
        execution = Execution(id=new_id(), agent_id=agent.id, user_id=agent.user_id, input=text, steps=[])
        async with self._database.write() as session:
            session.add(execution)
            await session.flush()
            await session.refresh(execution, ["created_at", "updated_at"])
        return execution

    async def run(self, execution: Execution, agent: Agent) -> AsyncGenerator[RunEvent]:
        """Run the agent on a recorded message; yields events as they happen and keeps every step.

        A consumer that goes away (the client closed the stream) cancels the run, and the execution says so.
        """
        conversation = [Message("system", agent.system_prompt), Message("user", execution.input)]
        events = run_agent(
            self.provider,
            conversation,
            tools=self._tools.named(agent.tools),
            limits=self._limits,
            model=agent.model_name if self.provider.is_model else None,
            max_tokens=agent.max_tokens,
            temperature=(agent.config or {}).get("temperature"),
        )
        ended = False
        try:
            async with aclosing(events):
                async for event in events:
                    if isinstance(event, StepCompleted):
                        await self._keep(execution.id, event.record)
                    elif isinstance(event, RunEnded):
                        await self._finish(execution.id, _ending(event.result))
                        ended = True
                    yield event
        finally:
            if not ended:
                # Whoever cancels us must not also cancel the note that says so.
                with anyio.CancelScope(shield=True):
                    await self._finish(execution.id, {"status": "cancelled", "outcome": "cancelled"})

    async def complete(self, execution: Execution, agent: Agent) -> None:
        """Run to the end without looking."""
        async with aclosing(self.run(execution, agent)) as events:
            async for _ in events:
                pass

    def describe(self, execution: Execution) -> ExecutionOut:
        """An execution without its trace."""
        return ExecutionOut(**self._described(execution))

    def describe_whole(self, execution: Execution) -> ExecutionDetail:
        """An execution with its trace; the steps must have been loaded."""
        steps = [StepOut.model_validate(step) for step in execution.steps]
        return ExecutionDetail(**self._described(execution), steps=steps)

    def _described(self, execution: Execution) -> dict[str, Any]:
        error = None
        if execution.error_code:
            error = ExecutionError(code=execution.error_code, message=execution.error_message or "")
        names = ExecutionOut.model_fields.keys() - {"error"}
        described: dict[str, Any] = {name: getattr(execution, name) for name in names} | {"error": error}
        if execution.status == "running" and self._is_overdue(execution):
            described |= {"status": "failed", "outcome": "interrupted", "error": _INTERRUPTED}
        return described

    def _is_overdue(self, execution: Execution) -> bool:
        return self._clock.now() > execution.created_at + timedelta(seconds=self._limits.deadline) + _GRACE

    async def _keep(self, execution_id: UUID, step: Step) -> None:
        usage = step.usage
        async with self._database.write() as session:
            session.add(
                ExecutionStep(
                    execution_id=execution_id,
                    seq=step.seq,
                    kind=step.kind,
                    name=_storable(step.name),
                    input=step.request,
                    output=step.response,
                    error=_storable(step.error) if step.error else None,
                    milliseconds=round(step.milliseconds, 3),
                    input_tokens=usage.input_tokens if usage else None,
                    output_tokens=usage.output_tokens if usage else None,
                )
            )

    async def _finish(self, execution_id: UUID, values: dict[str, Any]) -> None:
        async with self._database.write() as session:
            await session.execute(
                update(Execution)
                .where(Execution.id == execution_id, Execution.status == "running")
                .values(finished_at=self._clock.now(), **values)
            )
        _log.info("Execution ended", execution=str(execution_id), status=values["status"], outcome=values["outcome"])


def _ending(result: RunResult) -> dict[str, Any]:
    models = [step.name for step in result.steps if step.kind == "model"]
    failure = result.failure
    return {
        "status": status_of(result),
        "outcome": result.outcome,
        "output": _storable(result.answer),
        "model": _storable(models[-1]) if models else None,
        "input_tokens": result.usage.input_tokens,
        "output_tokens": result.usage.output_tokens,
        "error_code": failure.code if failure else None if result.outcome == "completed" else result.outcome.upper(),
        "error_message": _storable(failure.message if failure else result.detail) or None,
    }


def status_of(result: RunResult) -> str:
    """`completed` for a whole answer, `failed` for anything less; `outcome` says what."""
    return "completed" if result.outcome == "completed" else "failed"


def _storable(text: str) -> str:
    """Text that every database takes: what a model or a server sends may hold NUL and lone surrogates."""
    return text.replace("\x00", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode("utf-8")
