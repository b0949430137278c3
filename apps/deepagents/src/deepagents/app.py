"""The composition root of DeepAgents."""

from typing import Any

from fastapi import Depends

from mainspring.accounts import SuperUser, User, accounts_module
from mainspring.app import Application, create_app
from mainspring.data import audit_trail_module, audit_trail_router, idempotency_module

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
            audit_trail_module(
                settings, models=[User], routers=(audit_trail_router(dependencies=[Depends(_administrator)]),)
            ),
            toolbox.module(tools, settings),
            agents.module(),
            executions.module(settings),
            web.module(),
        ],
        **overrides,
    )


async def _administrator(_: SuperUser) -> None:
    """Only administrators read the audit trail: it shows what everybody does."""
