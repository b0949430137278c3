"""Tools: what an agent may do, validated on the way in and bounded on the way out."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import wraps
from time import perf_counter
from typing import Any, Protocol

from pydantic import BaseModel, ValidationError

from mainspring.errors import MainspringError

from ._types import ToolCall, ToolSpec

_log = logging.getLogger(__name__)


class Tool[In: BaseModel, Out: BaseModel](Protocol):
    """Something an agent may call. A class with these members is a tool, and so is a `FunctionTool`."""

    @property
    def name(self) -> str:
        """Unique among the tools of a run; letters, digits, `_` and `-`."""

    @property
    def description(self) -> str:
        """What it does and when to use it; models choose by this text."""

    @property
    def input_model(self) -> type[In]:
        """What it takes; the model sees its JSON schema."""

    @property
    def output_model(self) -> type[Out]:
        """What it gives."""

    @property
    def retry_safe(self) -> bool:
        """Whether running it twice does no harm. A run that died in between may repeat only such calls."""

    @property
    def timeout(self) -> float:
        """Seconds one call may take."""

    def run(self, input: In, /) -> Awaitable[Out]:  # noqa: A002 -- the word that fits; positional, so nobody spells it
        """Do it. Raise a `MainspringError` to tell the model what was wrong; other errors it learns nothing of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionTool[In: BaseModel, Out: BaseModel]:
    """A tool made of an async function; wrap a blocking or CPU-heavy one with `in_thread`.

    Attributes:
        name: Unique among the tools of a run.
        description: What it does and when to use it.
        input_model: What it takes.
        output_model: What it gives.
        run: The function.
        retry_safe: Whether running it twice does no harm. False by default: the cautious answer.
        timeout: Seconds one call may take. 10 by default: an agent's user is waiting.
    """

    name: str
    description: str
    input_model: type[In]
    output_model: type[Out]
    run: Callable[[In], Awaitable[Out]]
    retry_safe: bool = False
    timeout: float = 10.0


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What became of one call.

    Attributes:
        content: JSON for the model: the output, or `{"error": …}`.
        output: The output as JSON values; None when the call failed.
        error: Why it failed, in words that the model may read.
        milliseconds: How long it took.
    """

    content: str
    output: dict[str, Any] | None
    error: str | None
    milliseconds: float


def in_thread[In: BaseModel, Out: BaseModel](function: Callable[[In], Out]) -> Callable[[In], Awaitable[Out]]:
    """Run a blocking function off the event loop.

    The trap: a thread cannot be stopped. After a timeout the agent goes on, and the function runs to its end unheard.
    """

    @wraps(function)
    async def run(given: In) -> Out:
        return await asyncio.to_thread(function, given)

    return run


def tool_spec(tool: Tool[Any, Any]) -> ToolSpec:
    """The tool as a model sees it; the schema is that of its input model."""
    return ToolSpec(tool.name, tool.description, tool.input_model.model_json_schema())


def by_name(tools: Iterable[Tool[Any, Any]]) -> dict[str, Tool[Any, Any]]:
    """Tools by their names.

    Raises:
        ValueError: Two have the same name.
    """
    found: dict[str, Tool[Any, Any]] = {}
    for tool in tools:
        if found.setdefault(tool.name, tool) is not tool:
            message = f"Two tools are named {tool.name!r}; a model could not tell them apart. Rename one."
            raise ValueError(message)
    return found


class _CallFailed(Exception):
    """Why a call came to nothing, in words that the model may read."""


async def call_tool(tools: Mapping[str, Tool[Any, Any]], call: ToolCall, *, max_output_bytes: int) -> ToolResult:
    """Run one call. Never raises for what a model or a tool does wrong: that is a result the model can react to.

    Args:
        tools: What may be called.
        call: What the model asked for.
        max_output_bytes: Largest JSON output. More is an error, not a cut: half a document reads like a whole one.
    """
    began = perf_counter()
    try:
        content = await _run(tools, call)
        if (size := len(content.encode())) > max_output_bytes:
            message = f"The result has {size} bytes of at most {max_output_bytes}. Ask for less."
            raise _CallFailed(message)
        return ToolResult(content, json.loads(content), None, _since(began))
    except _CallFailed as failure:
        error = str(failure)
        return ToolResult(json.dumps({"error": error}, ensure_ascii=False), None, error, _since(began))


async def _run(tools: Mapping[str, Tool[Any, Any]], call: ToolCall) -> str:
    tool = tools.get(call.name)
    if tool is None:
        message = f"There is no tool {call.name!r}. Available: {', '.join(tools) or 'none'}."
        raise _CallFailed(message)
    if call.malformed is not None:
        message = "The arguments are not a JSON object. Send one that fits the tool's schema."
        raise _CallFailed(message)
    try:
        given = tool.input_model.model_validate_json(json.dumps(call.arguments))
    except ValidationError as error:
        message = f"The arguments do not fit: {_explain(error)}"
        raise _CallFailed(message) from error
    return await _guarded(tool, given)


async def _guarded(tool: Tool[Any, Any], given: BaseModel) -> str:
    scope = asyncio.timeout(tool.timeout)
    try:
        async with scope:
            output = await tool.run(given)
        # Validated again, so that a tool cannot hand a model what its schema does not promise.
        checked: BaseModel = tool.output_model.model_validate(output)
        return checked.model_dump_json()
    except MainspringError as error:
        raise _CallFailed(error.message) from error
    except Exception as error:
        if isinstance(error, TimeoutError) and scope.expired():
            message = f"{tool.name} did not finish within {tool.timeout:g} s."
            raise _CallFailed(message) from error
        _log.exception("Tool %s failed", tool.name)
        message = f"{tool.name} failed. The failure is in the service's log."
        raise _CallFailed(message) from error


def _explain(error: ValidationError) -> str:
    details = error.errors(include_url=False, include_input=False, include_context=False)
    return "; ".join(f"{'.'.join(map(str, d['loc'])) or 'arguments'}: {d['msg']}" for d in details)


def _since(began: float) -> float:
    return (perf_counter() - began) * 1000
