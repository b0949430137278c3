"""What goes to a language model and what comes back, the same for every provider."""

from dataclasses import dataclass, field
from typing import Any, Literal

type Role = Literal["system", "user", "assistant", "tool"]
type FinishReason = Literal["stop", "tool_calls", "length", "content_filter", "unknown"]


@dataclass(frozen=True, slots=True)
class Usage:
    """How many tokens a call took, as far as somebody knows.

    A number here is never an estimate. Adding two gives None where either is None: a sum with a part missing is not a
    count.

    Attributes:
        input_tokens: Tokens of the request; None means not known.
        output_tokens: Tokens of the answer; None means not known.
        source: `provider` (the provider reported it), `exact` (counted with the model's own tokenizer) or `unknown`.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    source: Literal["provider", "exact", "unknown"] = "unknown"

    @property
    def total(self) -> int | None:
        """Input and output together, or None where either is not known."""
        return _sum(self.input_tokens, self.output_tokens)

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            _sum(self.input_tokens, other.input_tokens),
            _sum(self.output_tokens, other.output_tokens),
            self.source if self.source == other.source else "unknown",
        )


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool that the model wants run.

    Attributes:
        id: What the result is sent back under.
        name: The tool.
        arguments: What the model passes, decoded; not yet validated.
        malformed: The raw text, where it was not a JSON object; `arguments` is then empty, and the model is told.
    """

    id: str
    name: str
    arguments: dict[str, Any] = field(default_factory=dict)
    malformed: str | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation.

    Attributes:
        role: Who speaks.
        content: The text; for the role `tool` the result as JSON.
        tool_calls: What an assistant wants run before it goes on.
        tool_call_id: For the role `tool`: the call this answers.
    """

    role: Role
    content: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A tool as a model sees it.

    Attributes:
        name: Letters, digits, `_` and `-`; the model calls it by this name.
        description: What it does and when to use it; models choose by this text.
        parameters: JSON schema of the arguments.
    """

    name: str
    description: str
    parameters: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletionRequest:
    """One call of a model.

    Attributes:
        messages: The conversation so far, oldest first.
        tools: What the model may ask for.
        model: Overrides the provider's default model.
        max_tokens: Most tokens the answer may have; None leaves it to the provider.
        temperature: None leaves it to the provider; some models refuse any other value than their own.
    """

    messages: tuple[Message, ...]
    tools: tuple[ToolSpec, ...] = ()
    model: str | None = None
    max_tokens: int | None = None
    temperature: float | None = None


@dataclass(frozen=True, slots=True)
class TextDelta:
    """A piece of the answer's text, as it arrives."""

    text: str


@dataclass(frozen=True, slots=True)
class Completion:
    """The whole answer: the last item of every stream.

    Attributes:
        message: The assistant's turn, with its tool calls assembled.
        usage: What the call took.
        model: The model that answered, as the provider names it: often more exact than the name asked for.
        finish_reason: Why it ended; `length` means that the answer, or a tool call's arguments, is cut off.
    """

    message: Message
    usage: Usage
    model: str
    finish_reason: FinishReason


def _sum(left: int | None, right: int | None) -> int | None:
    return None if left is None or right is None else left + right
