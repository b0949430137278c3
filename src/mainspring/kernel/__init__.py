"""The composition kernel: modules, resources and their registry, the clock, ids. Standard library only."""

from ._clock import Clock, FrozenClock, SystemClock
from ._ids import new_id
from ._module import Migrations, Module
from ._registry import Health, Registry, RegistryError, ResourceFailed
from ._resource import Resource

__all__ = [
    "Clock",
    "FrozenClock",
    "Health",
    "Migrations",
    "Module",
    "Registry",
    "RegistryError",
    "Resource",
    "ResourceFailed",
    "SystemClock",
    "new_id",
]
