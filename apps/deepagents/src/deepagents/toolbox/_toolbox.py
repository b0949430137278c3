"""Finds the plug-in folders under `deepagents.tools` and keeps what they bring."""

import pkgutil
from collections.abc import Iterable, Iterator
from importlib import import_module
from typing import Any

from deepagents import tools as plugins
from mainspring.ai import Tool
from mainspring.errors import FieldError, ValidationFailed


class Toolbox:
    """The tools of this service, by name.

    Args:
        tools: What the plug-ins bring.

    Raises:
        ValueError: Two plug-ins bring a tool of the same name.
    """

    def __init__(self, tools: Iterable[Tool[Any, Any]]) -> None:
        self._tools: dict[str, Tool[Any, Any]] = {}
        for tool in tools:
            if self._tools.setdefault(tool.name, tool) is not tool:
                raise ValueError(f"Two tools are named {tool.name!r}; rename one.")

    def __iter__(self) -> Iterator[Tool[Any, Any]]:
        return iter(self._tools.values())

    def named(self, names: Iterable[str]) -> list[Tool[Any, Any]]:
        """The tools of these names, as far as they (still) exist."""
        return [self._tools[name] for name in names if name in self._tools]

    def require(self, names: Iterable[str]) -> None:
        """Refuse names that no tool has.

        Raises:
            ValidationFailed: It says which, and which there are.
        """
        unknown = [
            FieldError(("body", "tools", index), f"There is no tool {name!r}.", "unknown_tool")
            for index, name in enumerate(names)
            if name not in self._tools
        ]
        if unknown:
            raise ValidationFailed(f"Unknown tool. There are: {', '.join(sorted(self._tools))}.", errors=unknown)


def load_tools() -> Toolbox:
    """Import every `deepagents.tools.<folder>.processor` and take its `tool`.

    Raises:
        ImportError: A plug-in folder has no processor, or cannot be imported.
        AttributeError: A processor defines no `tool`.
    """
    folders = sorted(found.name for found in pkgutil.iter_modules(plugins.__path__) if found.ispkg)
    return Toolbox(import_module(f"{plugins.__name__}.{folder}.processor").tool for folder in folders)
