"""The agent loop: ask the model, run the tools it wants, and again, until it answers or a limit is reached."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import asdict, dataclass, replace
from typing import Any

from mainspring.errors import MainspringError

from ._errors import ModelAnswerInvalid, ModelRefused
from ._events import (
    Outcome,
    RunEnded,
    RunEvent,
    RunFailure,
    RunResult,
    RunStarted,
    TextStreamed,
    ToolCalled,
    ToolReturned,
)
from ._provider import Provider
from ._tools import Tool, ToolResult, by_name, call_tool, tool_spec
from ._trace import Trace
from ._types import Completion, CompletionRequest, Message, ToolCall

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunLimits:
    """What one run may use up.

    Attributes:
        max_steps: Calls of the model. 12 by default: enough for real work, and an end to a model going in circles.
        max_total_tokens: Tokens over all model calls, counted where the provider reports them: where it does not,
            this limit cannot hold. Looked at after each call, so the last one may overshoot by its own size. None is
            no limit.
        deadline: Seconds for the whole run.
        parallel_tools: Tool calls running at the same time.
        max_output_bytes: Largest output of one tool call, as JSON.
    """

    max_steps: int = 12
    max_total_tokens: int | None = None
    deadline: float = 120.0
    parallel_tools: int = 4
    max_output_bytes: int = 64 * 1024


DEFAULT_LIMITS = RunLimits()
"""The limits of a run that is given none."""


def run_agent(
    provider: Provider,
    messages: Sequence[Message],
    *,
    tools: Iterable[Tool[Any, Any]] = (),
    limits: RunLimits = DEFAULT_LIMITS,
    model: str | None = None,
    max_tokens: int | None = None,
    temperature: float | None = None,
) -> AsyncGenerator[RunEvent]:
    """Run an agent and report every step.

    What a run may be expected to meet (a limit, a provider that fails, a model that calls a tool wrongly) is an event
    or an outcome and never an exception. Closing the generator, or cancelling its consumer, cancels the model call
    and the tools in flight; use `contextlib.aclosing` when leaving early.

    Args:
        provider: Who answers.
        messages: The conversation so far, oldest first, the user's question last.
        tools: What the model may call.
        limits: When to stop.
        model: Overrides the provider's default model.
        max_tokens: Most tokens one answer may have.
        temperature: None leaves it to the provider.

    Raises:
        ValueError: Two tools have the same name. Raised here, before anything runs.
    """
    catalogue = by_name(tools)
    request = CompletionRequest(
        messages=tuple(messages),
        tools=tuple(map(tool_spec, catalogue.values())),
        model=model,
        max_tokens=max_tokens,
        temperature=temperature,
    )
    return _events(_Run(provider, request, catalogue, limits))


async def _events(run: "_Run") -> AsyncGenerator[RunEvent]:
    # The run is a task of its own: a deadline around a `yield` would go off in the consumer's code.
    worker = asyncio.create_task(run.execute(), name="agent run")
    try:
        with suppress(asyncio.QueueShutDown):
            while True:
                yield await run.trace.events.get()
        await worker
    finally:
        worker.cancel()
        await asyncio.wait([worker])


@dataclass(frozen=True, slots=True)
class _Ending:
    outcome: Outcome
    detail: str = ""
    failure: RunFailure | None = None


class _Run:
    def __init__(
        self,
        provider: Provider,
        request: CompletionRequest,
        tools: Mapping[str, Tool[Any, Any]],
        limits: RunLimits,
    ) -> None:
        self.trace = Trace()
        self._provider = provider
        self._request = request
        self._tools = tools
        self._limits = limits
        self._added: list[Message] = []
        self._described = 0
        self._answer = ""

    async def execute(self) -> None:
        trace = self.trace
        try:
            await trace.emit(RunStarted(trace.next(), self._provider.name, self._provider.is_model, tuple(self._tools)))
            ending = await self._bounded()
            await trace.abandon(ending.detail)
            await trace.emit(RunEnded(trace.next(), self._result(ending)))
        finally:
            trace.events.shutdown()

    async def _bounded(self) -> _Ending:
        scope = asyncio.timeout(self._limits.deadline)
        try:
            async with scope:
                return await self._converse()
        except MainspringError as error:
            return _failed(error)
        except Exception as error:  # noqa: BLE001 -- whatever a provider does, a run ends with an outcome
            if isinstance(error, TimeoutError) and scope.expired():
                return _Ending("deadline", f"The run's deadline of {self._limits.deadline:g} s has passed.")
            _log.exception("Provider %s failed in a way it should not", self._provider.name)
            return _failed(MainspringError("The model provider failed. The failure is in the service's log."))

    async def _converse(self) -> _Ending:
        for steps_left in reversed(range(self._limits.max_steps)):
            completion = await self._ask()
            ending = self._ending(completion, steps_left=steps_left)
            if ending is not None:
                return ending
            await self._use_tools(completion.message.tool_calls)
        return _Ending("step_limit", "The run was allowed no model call; raise max_steps.")

    async def _ask(self) -> Completion:
        request = replace(self._request, messages=(*self._request.messages, *self._added))
        number = await self.trace.open("model", request.model or self._provider.name, self._describe(request))
        completion = await self._receive(request, number)
        message = completion.message
        self._answer = message.content
        self._added.append(message)
        self._described = len(request.messages) + 1
        calls = [asdict(call) for call in message.tool_calls]
        response = {"content": message.content, "tool_calls": calls, "finish_reason": completion.finish_reason}
        await self.trace.close(number, response, name=completion.model, usage=completion.usage)
        return completion

    async def _receive(self, request: CompletionRequest, step: int) -> Completion:
        pieces: list[str] = []
        try:
            async with aclosing(self._provider.complete(request)) as stream:
                async for item in stream:
                    if isinstance(item, Completion):
                        return item
                    pieces.append(item.text)
                    await self.trace.emit(TextStreamed(self.trace.next(), step, item.text))
        finally:
            self._answer = "".join(pieces)
        raise ModelAnswerInvalid("The model provider ended its stream without a completion.")

    def _ending(self, completion: Completion, *, steps_left: int) -> _Ending | None:
        if completion.finish_reason == "length":
            return _Ending("token_limit", "The answer was cut off at the most tokens allowed; raise max_tokens.")
        if completion.finish_reason == "content_filter":
            return _failed(ModelRefused("The model provider withheld the answer (content filter)."))
        if not completion.message.tool_calls:
            if completion.message.content.strip():
                return _Ending("completed")
            return _failed(ModelAnswerInvalid("The model answered with neither text nor a tool call."))
        # From here on the model wants tools. With no model call left to read their results, running them would have
        # effects and no use.
        used, most = self.trace.known_tokens, self._limits.max_total_tokens
        if most is not None and used >= most:
            return _Ending("token_limit", f"The run used {used} of {most} tokens; raise max_total_tokens.")
        if not steps_left:
            return _Ending("step_limit", f"The model wanted more than {self._limits.max_steps} steps; raise max_steps.")
        return None

    async def _use_tools(self, calls: tuple[ToolCall, ...]) -> None:
        numbers = [await self._announce(call) for call in calls]
        turn = asyncio.Semaphore(self._limits.parallel_tools)
        async with asyncio.TaskGroup() as group:
            running = [group.create_task(self._call(call, turn), name=f"tool {call.name}") for call in calls]
            for number, call, task in zip(numbers, calls, running, strict=True):
                await self._report(number, call, await task)

    async def _announce(self, call: ToolCall) -> int:
        request: dict[str, Any] = {"call_id": call.id, "arguments": call.arguments}
        if call.malformed is not None:
            request["malformed"] = call.malformed
        number = await self.trace.open("tool", call.name, request)
        tool = self._tools.get(call.name)
        retry_safe = tool is None or tool.retry_safe
        await self.trace.emit(
            ToolCalled(self.trace.next(), number, call.id, call.name, call.arguments, retry_safe=retry_safe)
        )
        return number

    async def _call(self, call: ToolCall, turn: asyncio.Semaphore) -> ToolResult:
        async with turn:
            return await call_tool(self._tools, call, max_output_bytes=self._limits.max_output_bytes)

    async def _report(self, number: int, call: ToolCall, result: ToolResult) -> None:
        self._added.append(Message("tool", result.content, tool_call_id=call.id))
        output, error, took = result.output, result.error, result.milliseconds
        await self.trace.emit(ToolReturned(self.trace.next(), number, call.id, call.name, output, error, took))
        await self.trace.close(number, output, error=error, milliseconds=took)

    def _describe(self, request: CompletionRequest) -> dict[str, Any]:
        return {
            "model": request.model,
            "max_tokens": request.max_tokens,
            "temperature": request.temperature,
            "tools": list(self._tools),
            "messages_before": self._described,
            "messages": [asdict(message) for message in request.messages[self._described :]],
        }

    def _result(self, ending: _Ending) -> RunResult:
        return RunResult(
            outcome=ending.outcome,
            answer=self._answer,
            detail=ending.detail,
            failure=ending.failure,
            usage=self.trace.usage,
            steps=tuple(self.trace.steps),
            messages=_continuable(self._added),
            milliseconds=self.trace.milliseconds,
        )


def _failed(error: MainspringError) -> _Ending:
    failure = RunFailure(error.code, error.message, error.retryable, error.retry_after)
    return _Ending("failed", error.message, failure)


def _continuable(added: list[Message]) -> tuple[Message, ...]:
    # Results follow their calls in order, so a turn with fewer messages after it than calls is not answered in full.
    for position, message in enumerate(added):
        if len(message.tool_calls) > len(added) - position - 1:
            return tuple(added[:position])
    return tuple(added)
