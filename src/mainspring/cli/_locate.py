"""Finds the service that a command is about."""

import os
import sys
from importlib import import_module
from importlib.util import find_spec
from inspect import signature
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, NoReturn

from ._exits import USAGE, fail

if TYPE_CHECKING:
    from mainspring.app import Application
    from mainspring.settings import Settings

_chosen: list[str] = []

_HOW = """No service is named. Name the function that builds it, in one of these ways:
  mainspring --app shop.app:build …
  MAINSPRING_APP=shop.app:build mainspring …
  [tool.mainspring] app = "shop.app:build"     in pyproject.toml"""


def use_app(location: str | None) -> None:
    """Remember what `--app` or `MAINSPRING_APP` said."""
    _chosen[:] = [location] if location else []


def app_location() -> str:
    """`module:factory` of the service, with its folder on the import path.

    Raises:
        typer.Exit: Nothing names a service.
    """
    project = _project()
    location = _chosen[0] if _chosen else _table(project).get("app")
    if not location:
        fail(_HOW, USAGE)
    for folder in (Path.cwd(), *([project.parent, project.parent / "src"] if project else [])):
        if folder.is_dir() and str(folder) not in sys.path:
            sys.path.insert(0, str(folder))
    return str(location)


def load_app() -> "Application":
    """The service, composed and not started. Whatever it logs goes to standard error.

    Raises:
        BootError: Its configuration is not sound.
        typer.Exit: The name leads nowhere, or to something else.
    """
    from mainspring.app import Application

    location = app_location()
    _log_aside()
    factory = _attribute(location)
    if isinstance(factory, Application):
        fail(f"{location} is an application; name the function that makes it. Importing must not build one.", USAGE)
    if not callable(factory):
        fail(f"{location} is {_kind(factory)}, not a function.", USAGE)
    _insist_on_no_arguments(factory, location)
    built = factory()
    if not isinstance(built, Application):
        fail(f"{location} returned {_kind(built)}; it has to return the FastAPI app that create_app() made.", USAGE)
    # Once more, because a factory may have set logging up in its own way.
    _log_aside()
    return built


def load_app_with(name: str, value: str) -> "Application":
    """The service as it is when a setting is given in the environment, so that the other settings can refuse it.

    Raises:
        BootError: Its configuration is then not sound.
        typer.Exit: As `load_app`; or the service's code sets the value itself.
    """
    _give(load_settings_class(), name, value)
    app = load_app()
    if str(getattr(app.settings, name)) != value:
        # Its settings class is not where we look for one, and has a prefix of its own.
        _give(type(app.settings), name, value)
        app = load_app()
    found = getattr(app.settings, name)
    if str(found) != value:
        fail(f"The service's code sets {name}={found}, so it cannot be {value}.", USAGE)
    return app


def load_settings_class() -> "type[Settings]":
    """The service's settings class, without building the service.

    It is what `[tool.mainspring] settings` names, or `Settings` of a module `settings` in the package of the service
    or in one above it, or the chassis' own.
    """
    from mainspring.settings import Settings

    location = app_location()
    named = _table(_project()).get("settings")
    if named:
        found = _attribute(str(named))
        if not (isinstance(found, type) and issubclass(found, Settings)):
            fail(f"{named} is not a class made from mainspring.settings.Settings.", USAGE)
        return found
    package = _package(location.partition(":")[0])
    while package:
        if find_spec(f"{package}.settings"):
            found = getattr(_imported(f"{package}.settings"), "Settings", None)
            if isinstance(found, type) and issubclass(found, Settings):
                return found
        package = package.rpartition(".")[0]
    return Settings


def _give(cls: "type[Settings]", name: str, value: str) -> None:
    for prefix in ("", cls.model_config.get("env_prefix", "")):
        os.environ[f"{prefix}{name}".upper()] = value


def _package(module: str) -> str:
    parent = module.rpartition(".")[0]
    if parent:
        _imported(parent)
    spec = find_spec(module) or _imported(module).__spec__
    return (spec.parent if spec else None) or ""


def _attribute(location: str) -> Any:
    module_name, _, attribute = location.partition(":")
    if not module_name or not attribute:
        fail(f"{location!r} is not of the form module:name.", USAGE)
    module = _imported(module_name)
    if not hasattr(module, attribute):
        fail(f"There is no {attribute!r} in {module_name} ({module.__file__}).", USAGE)
    return getattr(module, attribute)


def _imported(name: str) -> ModuleType:
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        # A missing dependency inside the module is not a missing module.
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            _fail_inside(name, error)
        folders = ", ".join(dict.fromkeys(path for path in sys.path[:3] if path))
        fail(f"There is no module {error.name!r} (looked in {folders} and the installed packages).", USAGE)
    except (ImportError, SyntaxError) as error:
        _fail_inside(name, error)


def _fail_inside(name: str, error: ImportError | SyntaxError) -> NoReturn:
    from traceback import extract_tb

    if isinstance(error, SyntaxError):
        file, line, code = error.filename, error.lineno, error.text or ""
    else:
        last = [frame for frame in extract_tb(error.__traceback__) if "importlib" not in frame.filename][-1]
        file, line, code = last.filename, last.lineno, last.line or ""
    reason = f"{type(error).__name__}: {error.msg}"
    fail(f"{name} is there, but cannot be imported: {reason}\n  {file}, line {line}: {code.strip()}")


def _insist_on_no_arguments(factory: Any, location: str) -> None:
    try:
        expected = signature(factory)
    except (TypeError, ValueError):
        return  # Some built-in callables have none.
    try:
        expected.bind()
    except TypeError as error:
        fail(f"{location} cannot be called without arguments: {error}. Give them defaults.", USAGE)


def _log_aside() -> None:
    # Standard output is the command's answer; a line of log in it would spoil the JSON.
    from mainspring.observability import configure_logging

    configure_logging(level="WARNING", form="console", stream=sys.stderr)


def _kind(value: object) -> str:
    return "None" if value is None else f"an object of type {type(value).__name__}"


def _project() -> Path | None:
    for folder in (Path.cwd(), *Path.cwd().parents):
        if (folder / "pyproject.toml").is_file():
            return folder / "pyproject.toml"
    return None


def _table(project: Path | None) -> dict[str, Any]:
    import tomllib

    if project is None:
        return {}
    try:
        tables = tomllib.loads(project.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        fail(f"{project} is not valid TOML: {error}", USAGE)
    found = tables.get("tool", {}).get("mainspring", {})
    return found if isinstance(found, dict) else {}
