"""Finds what builds the service under test, and the class of its settings."""

import inspect
import tomllib
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, get_args

from mainspring.app import Application
from mainspring.settings import Settings

type Factory = Callable[..., Application]

_ADVICE = (
    'Name the function that builds the service in pyproject.toml, [tool.mainspring] app = "shop.app:build", '
    "or define a fixture `build_app` that returns it."
)


def configured_factory(root: Path) -> Factory:
    """The function named by `[tool.mainspring] app` of a project.

    Raises:
        LookupError: It is not named, or the name leads nowhere; says what to write.
    """
    file = root / "pyproject.toml"
    project = tomllib.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    name = project.get("tool", {}).get("mainspring", {}).get("app")
    if not name:
        raise LookupError(f"No service to test. {_ADVICE}")
    module, _, attribute = str(name).partition(":")
    try:
        factory: Factory = getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise LookupError(f"{file} names {name!r}, which cannot be loaded: {error}. {_ADVICE}") from error
    return factory


def settings_class(factory: Factory) -> type[Settings]:
    """The class that the factory declares for its parameter `settings`; the chassis' own where it declares none."""
    parameter = inspect.signature(factory, eval_str=True).parameters.get("settings")
    annotation: Any = parameter.annotation if parameter else None
    for candidate in (annotation, *get_args(annotation)):
        if isinstance(candidate, type) and issubclass(candidate, Settings):
            return candidate
    return Settings
