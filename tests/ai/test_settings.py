import pytest

from mainspring.ai import AISettings, ModelUnavailable, OpenAIProvider, Provider, ScriptedProvider, provider_resource
from mainspring.kernel import Registry
from mainspring.settings import BootError, Settings

PRODUCTION = {
    "environment": "production",
    "secret_key": "9f8a7b6c5d4e3f2a1b0c9d8e7f6a5b4c3d2e1f0a",
    "database_url": "postgresql://u:p@db/shop",
    "allowed_hosts": ("api.example.com",),
}


@pytest.fixture(autouse=True)
def _clean(monkeypatch, tmp_path):
    for name in ("AI_PROVIDER", "AI_BASE_URL", "AI_API_KEY", "AI_MODEL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def refused(**values):
    with pytest.raises(BootError) as caught:
        AISettings(**values)
    return {problem.key.lower(): problem for problem in caught.value.problems}


def test_rules_answer_until_a_model_is_chosen():
    assert AISettings().ai_provider == "scripted"


def test_production_refuses_rules_in_place_of_a_model():
    assert "ALLOW_IN_PRODUCTION=scripted-ai" in refused(**PRODUCTION)["ai_provider"].fix


def test_production_takes_rules_where_somebody_said_so():
    assert AISettings(**PRODUCTION, allow_in_production=("scripted-ai",)).is_production


def test_openai_wants_a_model_and_a_key():
    problems = refused(ai_provider="openai")
    assert problems.keys() == {"ai_model", "ai_api_key"}
    assert "AI_BASE_URL" in problems["ai_api_key"].fix


def test_a_server_of_ones_own_wants_no_key():
    settings = AISettings(ai_provider="openai", ai_base_url="http://localhost:11434/v1", ai_model="m", **PRODUCTION)
    assert settings.ai_api_key is None


@pytest.mark.parametrize("url", ["localhost:11434", "ftp://models.example/v1", "http:///v1"])
def test_an_address_that_is_none_is_refused(url):
    assert refused(ai_provider="openai", ai_base_url=url, ai_model="m").keys() == {"ai_base_url"}


def test_a_key_pasted_wrongly_is_refused_and_not_shown():
    problem = refused(ai_provider="openai", ai_model="m", ai_api_key="sk-one\nsk-two")["ai_api_key"]
    assert "no key has" in problem.message
    assert "sk-" not in f"{problem}"


def test_the_environments_name_of_a_setting_is_in_the_report(monkeypatch):
    monkeypatch.setenv("AI_PROVIDER", "openai")
    monkeypatch.setenv("AI_MODEL", "m")
    with pytest.raises(BootError, match="AI_API_KEY"):
        AISettings()


def test_a_service_inherits_it_next_to_other_sections():
    class ShopSettings(Settings):
        shop_name: str = "shop"

        def refusals(self):
            yield from super().refusals()

    class Both(ShopSettings, AISettings):
        pass

    with pytest.raises(BootError, match="AI_MODEL"):
        Both(ai_provider="openai")


async def test_the_registry_has_the_scripted_provider_by_default():
    registry = Registry([provider_resource(AISettings())])
    await registry.start()
    assert isinstance(registry.get(Provider), ScriptedProvider)
    (health,) = await registry.ping()
    assert health.state == "up"
    assert registry.resources[0].backend == "scripted (no language model)"
    assert registry.resources[0].chosen_by == "AI_PROVIDER"
    await registry.close()


async def test_the_registry_has_the_chosen_server_and_its_outage_degrades_only(upstream):
    upstream.answers(200, {"data": []})
    upstream.answers(503, "")
    settings = AISettings(ai_provider="openai", ai_base_url=upstream.url.replace("//", "//me:pw@"), ai_model="small")
    registry = Registry([provider_resource(settings)])
    await registry.start()
    assert isinstance(registry.get(Provider), OpenAIProvider)
    assert registry.resources[0].backend.startswith("small at http://me:********@127.0.0.1")
    assert [health.state for health in await registry.ping()] == ["up"]
    (health,) = await registry.ping()
    assert (health.state, health.required) == ("degraded", False)
    assert ModelUnavailable.__name__ in health.detail
    await registry.close()
