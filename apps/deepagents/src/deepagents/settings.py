"""Settings of DeepAgents."""

from typing import Literal

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from mainspring.accounts import AccountsSettings
from mainspring.ai import AISettings
from mainspring.data import AuditTrailSettings


class Settings(AccountsSettings, AISettings, AuditTrailSettings):
    """Read from the environment; `DEEPAGENTS_DATABASE_URL` wins over `DATABASE_URL`."""

    model_config = SettingsConfigDict(env_prefix="DEEPAGENTS_")

    error_format: Literal["problem", "envelope"] = "envelope"
    """DeepAgents' clients expect the envelope."""
    run_max_steps: int = Field(default=12, ge=1, le=100)
    """Model calls that one execution may make."""
    run_deadline_seconds: float = Field(default=120.0, gt=0, le=3600)
    """Seconds that one execution may take."""
    run_max_total_tokens: int | None = Field(default=None, ge=1)
    """Tokens that one execution may use, where the provider reports them. Unset means no limit."""
