"""What a run reports while it goes, and what it leaves behind. All of it turns into JSON with `dataclasses.asdict`."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from ._types import Message, Usage

type StepKind = Literal["model", "tool"]
type Outcome = Literal["completed", "step_limit", "token_limit", "deadline", "failed"]


@dataclass(frozen=True, slots=True)
class Step:
    """One call of a model or a tool, whole: the trace is made of these.

    Attributes:
        seq: Position in the trace, from 1, without gaps.
        kind: `model` or `tool`.
        name: The model as it named itself, or the tool.
        request: For a model: the messages new since its last step, how many went before, the tools offered and the
            options. For a tool: the call's id and arguments. New messages only, so that a trace grows with the
            conversation and not with its square.
        response: For a model: text, tool calls and why it stopped. For a tool: its output. None where it failed.
        usage: What a model call took, with who says so; None for tools.
        milliseconds: How long it took; for a tool without the wait for its turn.
        error: Why it failed, in words that may be shown.
    """

    seq: int
    kind: StepKind
    name: str
    request: dict[str, Any]
    response: dict[str, Any] | None
    usage: Usage | None
    milliseconds: float
    error: str | None


@dataclass(frozen=True, slots=True)
class RunFailure:
    """Why a run failed.

    Attributes:
        code: A code of the error tree: `MODEL_UNAVAILABLE`, `MODEL_REFUSED`, `MODEL_ANSWER_INVALID`, …
        message: What happened and what to do, safe to show.
        retryable: Whether the same run may succeed later.
        retry_after: Seconds to wait first, where the provider said so.
    """

    code: str
    message: str
    retryable: bool
    retry_after: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """How a run ended.

    Attributes:
        outcome: `completed`, or what stopped it: `step_limit`, `token_limit` (the run's, or the answer was cut at
            `max_tokens`), `deadline`, `failed`.
        answer: The last text the model wrote; cut short or empty where the run did not complete.
        detail: One sentence on anything but `completed`: what was reached and what to raise.
        failure: More on `failed`.
        usage: The sum over all model steps; None counts where any step's are not known.
        steps: The whole trace.
        messages: What the run added to the conversation, fit to be continued: a turn whose tool calls were not
            answered is left out.
        milliseconds: From start to end.
    """

    outcome: Outcome
    answer: str
    detail: str
    failure: RunFailure | None
    usage: Usage
    steps: tuple[Step, ...]
    messages: tuple[Message, ...]
    milliseconds: float


@dataclass(frozen=True, slots=True)
class RunStarted:
    """The first event. `is_model` is False where rules answer instead of a language model: show it."""

    type: ClassVar = "run.started"
    seq: int
    provider: str
    is_model: bool
    tools: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StepStarted:
    """A model or a tool begins. `name` is what was asked for; the finished `Step` has what answered."""

    type: ClassVar = "step.started"
    seq: int
    step: int
    kind: StepKind
    name: str


@dataclass(frozen=True, slots=True)
class TextStreamed:
    """A piece of a model's text."""

    type: ClassVar = "text.delta"
    seq: int
    step: int
    text: str


@dataclass(frozen=True, slots=True)
class ToolCalled:
    """A tool is called. A run that dies after this and before `ToolReturned` may repeat it only if `retry_safe`."""

    type: ClassVar = "tool.called"
    seq: int
    step: int
    call_id: str
    name: str
    arguments: dict[str, Any]
    retry_safe: bool


@dataclass(frozen=True, slots=True)
class ToolReturned:
    """A tool is done: `output` or `error`. In the order of the calls, whichever finished first."""

    type: ClassVar = "tool.returned"
    seq: int
    step: int
    call_id: str
    name: str
    output: dict[str, Any] | None
    error: str | None
    milliseconds: float


@dataclass(frozen=True, slots=True)
class StepCompleted:
    """A step is done, well or badly; `record` is what to keep."""

    type: ClassVar = "step.completed"
    seq: int
    step: int
    record: Step


@dataclass(frozen=True, slots=True)
class RunEnded:
    """The last event, whatever happened; there is exactly one unless the consumer leaves early."""

    type: ClassVar = "run.ended"
    seq: int
    result: RunResult


type RunEvent = RunStarted | StepStarted | TextStreamed | ToolCalled | ToolReturned | StepCompleted | RunEnded
