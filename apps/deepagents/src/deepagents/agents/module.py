"""Agents as a module."""

from mainspring.kernel import Migrations, Module

from .routes import router


def module() -> Module:
    """Agents: their routes and tables. The tables of executions belong to the same history."""
    return Module(
        name="deepagents",
        summary="Agents with tools, and their executions",
        routers=(router,),
        migrations=Migrations(package="deepagents.migrations", models="deepagents"),
    )
