"""Tools, models, health and errors over HTTP."""

import pytest

pytestmark = pytest.mark.databases("sqlite")

API = "/api/v1"


async def test_tools_are_listed_with_their_schemas(client, ada):
    tools = (await client.get(f"{API}/tools", headers=ada)).json()["items"]

    calculator = next(tool for tool in tools if tool["name"] == "calculator")
    assert calculator["input_schema"]["required"] == ["expression"]
    assert "result" in calculator["output_schema"]["properties"]


async def test_one_tool_is_found_by_its_name_and_another_is_404(client, ada):
    assert (await client.get(f"{API}/tools/calculator", headers=ada)).json()["name"] == "calculator"
    assert (await client.get(f"{API}/tools/hammer", headers=ada)).status_code == 404


async def test_without_a_model_the_list_of_models_says_so(client, ada):
    (model,) = (await client.get(f"{API}/models", headers=ada)).json()["items"]

    assert (model["name"], model["is_model"]) == ("scripted", False)
    assert "No language model is configured" in model["note"]


async def test_health_tells_version_and_environment_and_readiness_its_checks(client):
    health, ready = (await client.get("/health")).json(), (await client.get("/health/ready")).json()

    assert health == {"status": "healthy", "version": "1.0.0", "environment": "test"}
    assert ready["status"] in {"ready", "degraded"}
    assert ready["checks"]["database"] == "up"


async def test_every_operation_has_an_id_of_its_own(app):
    operations = [operation for path in app.openapi()["paths"].values() for operation in path.values()]
    ids = [operation["operationId"] for operation in operations]

    assert len(ids) == len(set(ids))
