"""The seam between agents and whoever answers them."""

from collections.abc import AsyncGenerator
from typing import Protocol

from ._types import Completion, CompletionRequest, TextDelta


class Provider(Protocol):
    """Somebody who answers a conversation: a language model, or rules that say that they are none."""

    @property
    def name(self) -> str:
        """Which provider this is, for traces: `openai`, `scripted`."""

    @property
    def is_model(self) -> bool:
        """Whether a language model answers. False means fixed rules, and whoever shows the answer should say so."""

    def complete(self, request: CompletionRequest) -> AsyncGenerator[TextDelta | Completion]:
        """Answer a conversation.

        Text comes in pieces as it is made; the last item is always the `Completion`, and there is exactly one. Close
        the generator (`contextlib.aclosing`) when leaving early: that gives the connection back.

        Raises:
            ModelUnavailable: The provider is out of reach, overloaded or silent.
            ModelRefused: The provider will not take this request; repeating it does not help.
            ModelAnswerInvalid: The answer broke off or cannot be understood.
        """

    async def ping(self) -> None:
        """Raise if the provider cannot be used right now."""

    async def aclose(self) -> None:
        """Give connections back."""
