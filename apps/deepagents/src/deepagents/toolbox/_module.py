"""Tools and models as a module."""

from deepagents.settings import Settings
from mainspring.ai import AISettings, provider_resource
from mainspring.kernel import Module, Registry, Resource

from ._routes import router
from ._toolbox import Toolbox


def module(tools: Toolbox, settings: Settings) -> Module:
    """The plug-ins and the model provider."""

    async def toolbox(_: Registry) -> Toolbox:
        return tools

    return Module(
        name="toolbox",
        summary="Tools as plug-in folders, and the model provider",
        settings=AISettings,
        routers=(router,),
        resources=(Resource(provides=Toolbox, name="toolbox", make=toolbox), provider_resource(settings)),
    )
