"""The chat completions protocol as data: requests out, stream chunks in.

Lenient in what it takes: servers that speak this protocol differ in what they leave out, so everything may be absent,
and only what is present and wrong is an error.
"""

import json
from contextlib import suppress
from typing import Any

from pydantic import BaseModel, Field, JsonValue

from mainspring.ai._types import Completion, CompletionRequest, FinishReason, Message, ToolCall, ToolSpec, Usage

_FINISH: dict[str, FinishReason] = {
    "stop": "stop",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "length": "length",
    "content_filter": "content_filter",
}


class _Function(BaseModel):
    name: str | None = None
    arguments: str | None = None


class _CallPart(BaseModel):
    index: int | None = None
    id: str | None = None
    function: _Function = Field(default_factory=_Function)


class _Delta(BaseModel):
    content: str | None = None
    tool_calls: list[_CallPart] | None = None


class _Choice(BaseModel):
    delta: _Delta | None = None
    message: _Delta | None = None
    finish_reason: str | None = None


class _Usage(BaseModel):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class Chunk(BaseModel):
    """One event of a stream; also a whole answer, which differs in saying `message` for `delta`."""

    model: str | None = None
    choices: list[_Choice] | None = None
    usage: _Usage | None = None
    error: JsonValue = None


class _PartialCall:
    def __init__(self) -> None:
        self.id = ""
        self.name = ""
        self.arguments: list[str] = []

    def add(self, part: _CallPart) -> None:
        self.id = self.id or part.id or ""
        self.name = self.name or part.function.name or ""
        self.arguments.append(part.function.arguments or "")

    def whole(self, position: int) -> ToolCall:
        text = "".join(self.arguments)
        identity = self.id or f"call_{position}"
        try:
            # Some servers send nothing at all for a tool without arguments.
            arguments = json.loads(text or "{}")
        except ValueError:
            return ToolCall(identity, self.name, malformed=text)
        if not isinstance(arguments, dict):
            return ToolCall(identity, self.name, malformed=text)
        return ToolCall(identity, self.name, arguments)


class Assembler:
    """Puts the chunks of one answer together."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._text: list[str] = []
        self._calls: list[_PartialCall] = []
        self._by_index: dict[int, _PartialCall] = {}
        self._usage = Usage()
        self._finish: FinishReason | None = None

    @property
    def finished(self) -> bool:
        """Whether the server said why it stopped; a stream that ends before that was cut."""
        return self._finish is not None

    def add(self, chunk: Chunk) -> str:
        """Take one chunk in and give the text it brought."""
        self._model = chunk.model or self._model
        if chunk.usage is not None and {chunk.usage.prompt_tokens, chunk.usage.completion_tokens} != {None}:
            self._usage = Usage(chunk.usage.prompt_tokens, chunk.usage.completion_tokens, "provider")
        if not chunk.choices:
            return ""
        choice = chunk.choices[0]
        delta = choice.delta or choice.message or _Delta()
        for part in delta.tool_calls or ():
            self._call(part).add(part)
        if choice.finish_reason:
            self._finish = _FINISH.get(choice.finish_reason, "unknown")
        text = delta.content or ""
        self._text.append(text)
        return text

    def completion(self) -> Completion:
        """The whole answer."""
        calls = tuple(call.whole(position) for position, call in enumerate(self._calls, start=1))
        message = Message("assistant", "".join(self._text), calls)
        return Completion(message, self._usage, self._model, self._finish or "unknown")

    def _call(self, part: _CallPart) -> _PartialCall:
        known = self._calls[-1] if part.index is None and self._calls else self._by_index.get(part.index or 0)
        # Ollama has sent calls without an index, and several whole calls under index 0: another id is another call.
        if known is None or (part.id and known.id and part.id != known.id):
            known = _PartialCall()
            self._calls.append(known)
            self._by_index[part.index or 0] = known
        return known


def encode(request: CompletionRequest, *, model: str, limit_name: str) -> bytes:
    """The body of a request for a streamed answer.

    Args:
        request: What is asked.
        model: Which model, where the request names none.
        limit_name: What the server calls the most tokens of an answer.
    """
    body: dict[str, Any] = {
        "model": request.model or model,
        "messages": [_message(message) for message in request.messages],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if request.tools:
        body["tools"] = [_tool(tool) for tool in request.tools]
    if request.max_tokens is not None:
        body[limit_name] = request.max_tokens
    if request.temperature is not None:
        body["temperature"] = request.temperature
    return json.dumps(body, ensure_ascii=False).encode()


def error_text(body: bytes) -> str:
    """What a server says is wrong, on one line; servers have at least four ways to write it."""
    text = body.decode(errors="replace")
    with suppress(ValueError):
        said: Any = json.loads(text)
        for key in ("error", "message", "detail"):
            said = said.get(key, said) if isinstance(said, dict) else said
        text = said if isinstance(said, str) else json.dumps(said)
    return " ".join(text.split()) or "no explanation"


def _message(message: Message) -> dict[str, Any]:
    encoded: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.tool_calls:
        encoded["content"] = message.content or None
        encoded["tool_calls"] = [_call(call) for call in message.tool_calls]
    if message.tool_call_id is not None:
        encoded["tool_call_id"] = message.tool_call_id
    return encoded


def _call(call: ToolCall) -> dict[str, Any]:
    # Malformed arguments go back as none: some servers parse the history and would refuse the conversation.
    function = {"name": call.name, "arguments": json.dumps(call.arguments, ensure_ascii=False)}
    return {"id": call.id, "type": "function", "function": function}


def _tool(tool: ToolSpec) -> dict[str, Any]:
    function = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
    return {"type": "function", "function": function}
