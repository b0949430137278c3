"""Executions as a module."""

from deepagents.settings import Settings
from deepagents.toolbox import Toolbox
from mainspring.ai import Provider, RunLimits
from mainspring.data import Database
from mainspring.kernel import Clock, Module, Registry, Resource

from .routes import router
from .service import ExecutionService


def module(settings: Settings) -> Module:
    """Running agents, with the limits that the settings give."""
    limits = RunLimits(
        max_steps=settings.run_max_steps,
        deadline=settings.run_deadline_seconds,
        max_total_tokens=settings.run_max_total_tokens,
    )

    async def executions(registry: Registry) -> ExecutionService:
        return ExecutionService(
            database=registry.get(Database),
            provider=registry.get(Provider),
            tools=registry.get(Toolbox),
            limits=limits,
            clock=registry.get(Clock),
        )

    return Module(
        name="executions",
        summary="Agents at work, streamed and traced",
        routers=(router,),
        resources=(
            Resource(
                provides=ExecutionService,
                name="executions",
                make=executions,
                needs=(Database, Provider, Toolbox, Clock),
            ),
        ),
    )
