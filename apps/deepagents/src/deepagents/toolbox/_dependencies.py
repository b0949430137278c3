"""The toolbox as a dependency of routes."""

from typing import Annotated

from fastapi import Depends, Request

from mainspring.kernel import Registry

from ._toolbox import Toolbox


def _toolbox_of(request: Request) -> Toolbox:
    registry: Registry = request.app.state.registry
    return registry.get(Toolbox)


Tools = Annotated[Toolbox, Depends(_toolbox_of)]
"""The tools of this service."""
