"""What goes over the wire about executions."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from mainspring.http import Text

type Status = Literal["running", "completed", "failed", "cancelled"]


class ExecutionCreate(BaseModel):
    """A message to an agent."""

    input: Annotated[Text, Field(min_length=1, max_length=20_000)]


class ExecutionError(BaseModel):
    """Why an execution failed."""

    model_config = ConfigDict(frozen=True)

    code: str
    message: str


class StepOut(BaseModel):
    """One call of a model or a tool. A token count that nobody knows is null."""

    model_config = ConfigDict(from_attributes=True, frozen=True)

    seq: int
    kind: Literal["model", "tool"]
    name: str
    input: dict[str, Any]
    output: dict[str, Any] | None
    error: str | None
    milliseconds: float
    input_tokens: int | None
    output_tokens: int | None


class ExecutionOut(BaseModel):
    """An execution without its trace. A token count that nobody knows is null."""

    model_config = ConfigDict(frozen=True)

    id: UUID
    agent_id: UUID
    status: Status
    outcome: str | None
    input: str
    output: str | None
    model: str | None
    error: ExecutionError | None
    input_tokens: int | None
    output_tokens: int | None
    created_at: datetime
    finished_at: datetime | None


class ExecutionDetail(ExecutionOut):
    """An execution with its whole trace."""

    steps: list[StepOut]
