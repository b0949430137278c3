"""Tools and models over HTTP."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict

from deepagents.settings import Settings
from mainspring.accounts import CurrentUser
from mainspring.ai import Provider, tool_spec
from mainspring.errors import NotFound
from mainspring.kernel import Registry

from ._dependencies import Tools

router = APIRouter(responses={401: {"description": "Not signed in."}})


class ToolOut(BaseModel):
    """A tool, as models and people see it."""

    model_config = ConfigDict(frozen=True)

    name: str
    description: str
    input_schema: dict[str, Any]
    output_schema: dict[str, Any]


class ToolList(BaseModel):
    """All tools."""

    items: list[ToolOut]


class ModelOut(BaseModel):
    """A model that agents can use. `is_model` is false where rules answer instead of a language model."""

    name: str
    provider: str
    is_model: bool
    note: str


class ModelList(BaseModel):
    """All models."""

    items: list[ModelOut]


def _provider_of(request: Request) -> Provider:
    registry: Registry = request.app.state.registry
    return registry.get(Provider)


def _settings_of(request: Request) -> Settings:
    settings: Settings = request.app.state.settings
    return settings


@router.get("/tools", tags=["tools"])
async def list_tools(_: CurrentUser, tools: Tools) -> ToolList:
    """The tools that an agent can be given."""
    return ToolList(items=[_describe(tool) for tool in tools])


@router.get("/tools/{name}", tags=["tools"], responses={404: {"description": "No such tool."}})
async def get_tool(name: str, _: CurrentUser, tools: Tools) -> ToolOut:
    """One tool."""
    for tool in tools.named([name]):
        return _describe(tool)
    raise NotFound("There is no tool of this name.")


@router.get("/models", tags=["models"])
async def list_models(
    _: CurrentUser,
    provider: Annotated[Provider, Depends(_provider_of)],
    settings: Annotated[Settings, Depends(_settings_of)],
) -> ModelList:
    """The models that an agent can use."""
    if not provider.is_model:
        note = "Answers by fixed rules and real tools. No language model is configured: set AI_PROVIDER=openai."
        return ModelList(items=[ModelOut(name="scripted", provider=provider.name, is_model=False, note=note)])
    name = settings.ai_model or "default"
    return ModelList(items=[ModelOut(name=name, provider=provider.name, is_model=True, note="")])


def _describe(tool: Any) -> ToolOut:
    spec = tool_spec(tool)
    return ToolOut(
        name=spec.name,
        description=spec.description,
        input_schema=spec.parameters,
        output_schema=tool.output_model.model_json_schema(),
    )
