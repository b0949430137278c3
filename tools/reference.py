"""Writes `docs/reference/` from the code; `--check` says what is out of date instead, and exits with 1.

settings.md, errors.md and api.txt are what users may rely on. They are committed, so that a change of the public
interface shows up in review.
"""

import importlib
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path

from mainspring.errors import catalogue
from mainspring.settings import Settings, describe_settings

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "docs" / "reference"
SECTIONS = (
    ("mainspring.settings", "Settings"),
    ("mainspring.mail", "MailSettings"),
    ("mainspring.accounts", "AccountsSettings"),
    ("mainspring.ai", "AISettings"),
)


def main(arguments: list[str]) -> int:
    """Write or check every page."""
    pages = {"api.txt": api(), "errors.md": errors(), "settings.md": settings()}
    if "--check" not in arguments:
        FOLDER.mkdir(parents=True, exist_ok=True)
        for name, text in pages.items():
            (FOLDER / name).write_text(text)
        return 0
    stale = [name for name, text in pages.items() if not _is(FOLDER / name, text)]
    for name in stale:
        print(f"docs/reference/{name} is out of date; run `make docs` and look at the difference.")
    if not stale:
        print("reference: up to date")
    return 1 if stale else 0


def api() -> str:
    """The public interface: every name in an area's `__all__`, with its signature."""
    return "\n".join(line for area in _areas() for line in (*_public(area), "")).rstrip() + "\n"


def errors() -> str:
    """The error catalogue."""
    rows = [
        f"| `{e.code}` | {e.status} | {e.title} | {'yes' if e.retryable else 'no'} | {' '.join(e.description.split())} |"
        for e in catalogue()
    ]
    head = ["| code | status | title | retryable | when |", "|---|---|---|---|---|"]
    return "\n".join(["# Error codes", "", "Stable: clients branch on them.", "", *head, *rows, ""])


def settings() -> str:
    """Every setting of every section, with its default and meaning."""
    lines = [
        "# Settings",
        "",
        "Each is read under its name, or under the service's prefix and its name, which wins.",
        "",
    ]
    seen: set[str] = set()
    for module, name in SECTIONS:
        cls = getattr(importlib.import_module(module), name)
        lines += [f"## `{module}.{name}`", "", "| name | type | default | meaning |", "|---|---|---|---|"]
        lines += [row for field, row in _setting_rows(cls) if field not in seen]
        lines.append("")
        seen |= set(cls.model_fields)
    return "\n".join(lines)


def _setting_rows(cls: type[Settings]) -> Iterator[tuple[str, str]]:
    for setting in describe_settings(cls):
        kind = inspect.formatannotation(cls.model_fields[setting.name].annotation).replace("|", "\\|")
        default = "required" if setting.required else setting.default or "unset"
        key = f"prefix + `{setting.name.upper()}`" if setting.name in cls.prefixed_only else f"`{setting.key}`"
        yield setting.name, f"| {key} | {kind} | `{default}` | {setting.meaning.replace('|', '\\|')} |"


def _areas() -> Iterator[str]:
    source = ROOT / "src" / "mainspring"
    for folder in sorted(path for path in source.iterdir() if (path / "__init__.py").is_file()):
        yield f"mainspring.{folder.name}"


def _public(area: str) -> Iterator[str]:
    module = importlib.import_module(area)
    yield area
    for name in sorted(getattr(module, "__all__", ())):
        item = getattr(module, name)
        yield f"  {name}{_signature(item)}"
        if inspect.isclass(item):
            yield from (f"    {line}" for line in _members(item))


def _members(cls: type) -> Iterator[str]:
    for name, member in sorted(vars(cls).items()):
        if name.startswith("_") or name == "model_post_init":
            continue
        plain = member.__func__ if isinstance(member, classmethod | staticmethod) else member
        if inspect.isfunction(plain):
            yield f"{name}{_signature(plain)}"
        elif isinstance(member, property):
            yield name


def _signature(item: object) -> str:
    if not callable(item) or (inspect.isclass(item) and issubclass(item, Settings)):
        return ""
    try:
        parameters = inspect.signature(item).parameters.values()
    except (ValueError, TypeError):
        return ""
    return f"({', '.join(_parameters(list(parameters)))})"


def _parameters(parameters: list[inspect.Parameter]) -> Iterator[str]:
    """Names, kinds and whether there is a default; values and annotations change without breaking anybody."""
    keyword_only = False
    for parameter in parameters:
        if parameter.kind is parameter.KEYWORD_ONLY and not keyword_only:
            keyword_only = True
            yield "*"
        star = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
        keyword_only = keyword_only or star == "*"
        yield f"{star}{parameter.name}{'' if parameter.default is parameter.empty else '=…'}"


def _is(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text() == text


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
