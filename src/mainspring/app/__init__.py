"""The composition root: settings and modules in, a FastAPI application out."""

from ._create import Application, create_app
from ._explain import Composition, RouteLine, composition_of

__all__ = ["Application", "Composition", "RouteLine", "composition_of", "create_app"]
