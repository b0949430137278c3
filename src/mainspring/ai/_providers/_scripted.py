"""The provider for when there is no language model: follows rules, calls real tools, and says so."""

import asyncio
import json
import re
from collections.abc import AsyncGenerator, Mapping
from typing import Any

from mainspring.ai._types import Completion, CompletionRequest, Message, TextDelta, ToolCall, Usage

from ._rules import Plan, Planned, plan, usable

_MODEL = "scripted"
_NO_MODEL = "No language model is configured."
_CONFIGURE = (
    "To have a language model answer, set AI_PROVIDER=openai, AI_BASE_URL (for example https://api.openai.com/v1, or "
    "http://localhost:11434/v1 for Ollama), AI_MODEL, and AI_API_KEY where the server wants one."
)
_PIECE = re.compile(r"\S+\s*|\s+")


class ScriptedProvider:
    """Answers by fixed rules, offline, and never pretends otherwise.

    It reads the user's last message with the rules of a small table, calls the tools they name through the agent loop
    like a model would, and puts the answer together from the results. Every answer says that no language model is
    configured and which rules were followed. Token counts stay unknown: there are no tokens. A request's model,
    temperature and `max_tokens` have no meaning here and are ignored.
    """

    name = "scripted"
    is_model = False

    async def complete(self, request: CompletionRequest) -> AsyncGenerator[TextDelta | Completion]:
        """Call the tools that the rules name; when their results are there, answer."""
        position = max((n for n, message in enumerate(request.messages) if message.role == "user"), default=-1)
        text = request.messages[position].content if position >= 0 else ""
        made = plan(text, request.tools)
        calls = {f"rule_{position}_{n}": planned for n, planned in enumerate(made.calls, start=1)}
        results = {m.tool_call_id: m.content for m in request.messages[position + 1 :] if m.role == "tool"}
        if calls and not results:
            wanted = tuple(ToolCall(key, p.rule.tool, p.match.arguments) for key, p in calls.items())
            yield Completion(Message("assistant", tool_calls=wanted), Usage(), _MODEL, "tool_calls")
            return
        answer = _answer(made, calls, results) if calls else _help(made, request)
        for piece in _PIECE.findall(answer):
            yield TextDelta(piece)
            await asyncio.sleep(0)
        yield Completion(Message("assistant", answer), Usage(), _MODEL, "stop")

    async def ping(self) -> None:
        """Nothing to reach, so nothing to fail."""

    async def aclose(self) -> None:
        """Nothing to give back."""


def _answer(made: Plan, calls: Mapping[str, Planned], results: Mapping[str | None, str]) -> str:
    lines = [_line(planned, results.get(key)) for key, planned in calls.items()]
    lines += _left_out(made)
    rules = ", ".join(dict.fromkeys(planned.rule.name for planned in calls.values()))
    return "\n".join([*lines, "", f"{_NO_MODEL} This answer follows fixed rules ({rules}) and the tools' results."])


def _line(planned: Planned, result: str | None) -> str:
    if result is None:
        return f"{planned.match.asked}: the tool {planned.rule.tool} was not run."
    try:
        output: dict[str, Any] = json.loads(result)
        if error := output.get("error"):
            return f"{planned.match.asked}: {planned.rule.tool} could not answer. {error}"
        return planned.rule.say(planned.match, output)
    except (ValueError, KeyError, AttributeError):
        return f"{planned.match.asked}: {planned.rule.tool} gave {result}"


def _left_out(made: Plan) -> list[str]:
    lines = [f"No rule covers “{question}”" for question in made.uncovered]
    lines += [f"The rule “{r.name}” needs the tool {r.tool}, which is not offered in that form." for r in made.blocked]
    if made.surplus:
        lines.append(
            f"{made.surplus} more questions were left out: one message gets at most {len(made.calls)} answers."
        )
    if made.unread:
        lines.append(f"The last {made.unread} characters were not searched for questions.")
    return lines


def _help(made: Plan, request: CompletionRequest) -> str:
    rules = usable(request.tools)
    can = [f"- {rule.name}: when {rule.when}. Example: {rule.example}" for rule in rules]
    offer = (
        ["With the tools offered, fixed rules can answer:", *can] if can else ["No tool is offered that a rule uses."]
    )
    reason = "\n".join(_left_out(made)) or "No rule covers this message."
    return "\n".join([f"{_NO_MODEL} {reason}", "", *offer, "", _CONFIGURE])
