"""What goes over the wire about agents."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from mainspring.http import Text

_LARGEST_CONFIG = 32


def _distinct(value: list[str]) -> list[str]:
    return list(dict.fromkeys(value))


# ASCII on purpose: `str.isalnum` also takes letters that look like others.
type Name = Annotated[str, StringConstraints(min_length=3, max_length=100, pattern=r"^[A-Za-z0-9_-]+$", to_lower=True)]
type Description = Annotated[Text, Field(max_length=2000)]
type ModelName = Annotated[Text, Field(min_length=1, max_length=100)]
type Prompt = Annotated[Text, Field(min_length=1, max_length=50_000)]
type MaxTokens = Annotated[int, Field(strict=True, ge=100, le=100_000)]
type ToolNames = Annotated[list[Annotated[str, Field(max_length=64)]], Field(max_length=50), AfterValidator(_distinct)]


class AgentConfig(BaseModel):
    """How the model is asked.

    Attributes:
        temperature: None leaves it to the provider.
        labels: The owner's own notes, as short texts.
    """

    model_config = ConfigDict(extra="forbid")

    temperature: Annotated[float, Field(strict=True, ge=0, le=2)] | None = None
    labels: dict[Annotated[Text, Field(max_length=64)], Annotated[Text, Field(max_length=256)]] = Field(
        default_factory=dict, max_length=_LARGEST_CONFIG
    )


class AgentCreate(BaseModel):
    """A new agent."""

    name: Name
    description: Description | None = None
    model_name: ModelName
    system_prompt: Prompt = "You are a helpful assistant. Use your tools where they help."
    max_tokens: MaxTokens = 1000
    config: AgentConfig | None = None
    tools: ToolNames = Field(default_factory=list)


def _kept() -> Any:
    """What a field that was left out holds; `exclude_unset` never shows it. With None as the declared default, the API
    description would say that null is accepted.
    """
    return None


class AgentUpdate(BaseModel):
    """Changes to an agent; what is left out stays as it is."""

    name: Name = Field(default_factory=_kept)
    description: Description | None = None
    model_name: ModelName = Field(default_factory=_kept)
    system_prompt: Prompt = Field(default_factory=_kept)
    max_tokens: MaxTokens = Field(default_factory=_kept)
    config: AgentConfig | None = None
    tools: ToolNames = Field(default_factory=_kept)
    is_active: bool = Field(default_factory=_kept, strict=True)

    def changes(self) -> dict[str, Any]:
        """The columns to set; tools are a table of their own."""
        return self.model_dump(exclude_unset=True, exclude={"tools"})


class AgentSummary(BaseModel):
    """Just enough for a list."""

    model_config = ConfigDict(from_attributes=True, frozen=True)

    id: UUID
    name: str


class AgentOut(AgentSummary):
    """An agent, as its owner sees it."""

    description: str | None
    model_name: str
    system_prompt: str
    max_tokens: int
    config: AgentConfig | None
    tools: list[str]
    is_active: bool
    created_at: datetime
    updated_at: datetime
