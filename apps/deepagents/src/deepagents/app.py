"""The composition root of DeepAgents."""

from typing import Any

from mainspring.accounts import accounts_module
from mainspring.app import Application, create_app
from mainspring.data import idempotency_module

from . import agents, executions, toolbox, web
from .settings import Settings

NAME = "deepagents"
"""The service's name in logs and tokens."""


def build(settings: Settings | None = None, **overrides: Any) -> Application:
    """Compose the service.

    Args:
        settings: Read from the environment when not given.
        **overrides: Passed on to `create_app`; tests hand in `resources` and a `clock`.
    """
    settings = settings or Settings()
    tools = toolbox.load_tools()
    return create_app(
        NAME,
        settings=settings,
        version="1.0.0",
        description="Agents with tools, executed, streamed and traced.",
        modules=[
            accounts_module(settings, issuer=NAME),
            idempotency_module(),
            toolbox.module(tools, settings),
            agents.module(),
            executions.module(settings),
            web.module(),
        ],
        **overrides,
    )
