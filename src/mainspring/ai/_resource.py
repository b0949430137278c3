"""The provider as infrastructure of the application."""

from mainspring.kernel import Registry, Resource
from mainspring.settings import masked

from ._provider import Provider
from ._providers import OpenAIProvider, ScriptedProvider
from ._settings import AISettings


def provider_resource(settings: AISettings) -> Resource[Provider]:
    """The provider that the settings choose, looked up by `registry.get(Provider)`.

    It is optional: making it cannot fail, and a model provider's outage must not take this service out of rotation.
    Readiness shows it as degraded.
    """
    openai = settings.ai_provider == "openai"
    return Resource(
        provides=Provider,
        name="model provider",
        make=lambda registry: _make(settings, registry),
        close=_close,
        ping=_ping,
        required=False,
        backend=f"{settings.ai_model} at {masked(settings.ai_base_url)}" if openai else "scripted (no language model)",
        chosen_by=settings.origin("ai_provider").key,
        advice="Check AI_BASE_URL, AI_MODEL and AI_API_KEY." if openai else "",
    )


async def _make(settings: AISettings, _: Registry) -> Provider:
    if settings.ai_provider == "scripted":
        return ScriptedProvider()
    return OpenAIProvider(
        base_url=settings.ai_base_url,
        model=settings.ai_model,
        api_key=settings.ai_api_key,
        connect_timeout=settings.ai_connect_timeout,
        read_timeout=settings.ai_read_timeout,
        max_connections=settings.ai_max_connections,
        attempts=settings.ai_attempts,
        retry_deadline=settings.ai_retry_deadline,
    )


async def _ping(provider: Provider) -> None:
    await provider.ping()


async def _close(provider: Provider) -> None:
    await provider.aclose()
