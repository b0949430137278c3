"""Which model answers, by settings."""

from collections.abc import Iterable, Iterator
from typing import Literal, override
from urllib.parse import urlsplit

from pydantic import Field, SecretStr

from mainspring.settings import ConnectionUrl, Problem, Settings

from ._providers import usable_key


class AISettings(Settings):
    """The settings section of the area: `class Settings(AccountsSettings, AISettings)`."""

    ai_provider: Literal["scripted", "openai"] = "scripted"
    """`scripted` follows fixed rules offline and says so; `openai` is any server with OpenAI's chat completions.
    Production refuses `scripted` unless `ALLOW_IN_PRODUCTION=scripted-ai`."""
    ai_base_url: ConnectionUrl = "https://api.openai.com/v1"
    """Up to and including the version. Ollama: `http://localhost:11434/v1`; vLLM: `http://localhost:8000/v1`."""
    ai_api_key: SecretStr | None = None
    """Sent as a bearer token. Servers of one's own mostly ask for none."""
    ai_model: str = ""
    """Which model, where an agent names none. No default: models come and go, and their prices differ a hundredfold."""
    ai_connect_timeout: float = Field(default=5.0, gt=0)
    """Seconds to reach the server, or to wait for a free connection."""
    ai_read_timeout: float = Field(default=60.0, gt=0)
    """Seconds without a byte, also before the first: models think before they write."""
    ai_max_connections: int = Field(default=50, ge=1)
    """Calls at the same time, per process."""
    ai_attempts: int = Field(default=3, ge=1, le=10)
    """Tries in all, when a call fails before its answer begins."""
    ai_retry_deadline: float = Field(default=30.0, ge=0)
    """Seconds after which no new try begins."""

    @override
    def refusals(self) -> Iterable[Problem]:
        """What the chosen provider lacks, and rules in place of a model in production."""
        yield from super().refusals()
        if self.ai_provider == "openai":
            yield from self._incomplete()
        elif self.is_production and "scripted-ai" not in self.allow_in_production:
            yield self._ai_problem(
                "ai_provider",
                "Fixed rules would answer in place of a language model.",
                "Set AI_PROVIDER=openai with AI_BASE_URL, AI_MODEL and AI_API_KEY, or waive: "
                "ALLOW_IN_PRODUCTION=scripted-ai.",
            )

    def _incomplete(self) -> Iterator[Problem]:
        url = urlsplit(self.ai_base_url)
        if url.scheme not in {"http", "https"} or not url.hostname:
            fix = "Set AI_BASE_URL to an http(s) address that ends in the version, e.g. http://localhost:11434/v1."
            yield self._ai_problem("ai_base_url", "It is not the address of a server.", fix)
        if not self.ai_model:
            fix = "Set AI_MODEL to a model that the server has; GET AI_BASE_URL/models lists them."
            yield self._ai_problem("ai_model", "AI_PROVIDER=openai needs to know which model to ask.", fix)
        if url.hostname == "api.openai.com" and not (self.ai_api_key and self.ai_api_key.get_secret_value().strip()):
            fix = "Set AI_API_KEY, or set AI_BASE_URL to a server that asks for no key."
            yield self._ai_problem("ai_api_key", "api.openai.com answers nobody without a key.", fix)
        try:
            usable_key(self.ai_api_key)
        except ValueError as error:
            yield self._ai_problem("ai_api_key", str(error), "Paste the key again, alone and in full.")

    def _ai_problem(self, name: str, message: str, fix: str) -> Problem:
        origin = self.origin(name)
        return Problem(origin.key, message, fix, origin.source)
