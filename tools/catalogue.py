"""The practices catalogue: what delivers each practice, and what proves it.

`python -m tools.catalogue` checks every reference, prints how many practices are delivered, and exits with 1 when
something is wrong; `--areas` counts per area; `--fill FILE` first merges a small YAML file
(`id: {delivered: […], proof: […]}`) into the catalogue, leaving every other line as it is.
"""

import argparse
import ast
import configparser
import json
import re
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
FILE = ROOT / "practices" / "catalogue.yaml"

_TEXTS = ("id", "says", "how")
_LISTS = ("delivered", "proof")
_KNOWN = {*_TEXTS, *_LISTS, "conflict", "claim", "stale"}
# Comments between two items go with the list they stand in; those after it belong to what follows.
_ITEMS = r"(?:(?:  #.*\n)*  (?:-|  ).*\n)*"


@dataclass(frozen=True, slots=True)
class Practice:
    """One practice; it counts when something delivers it and something proves it.

    Attributes:
        id: Its name; the first word is its area.
        delivered: References to what delivers it.
        proof: References to the tests, rules and gates that fail when it is no longer delivered.
        flaws: What is wrong with the way the entry is written.
    """

    id: str
    delivered: tuple[str, ...] = ()
    proof: tuple[str, ...] = ()
    flaws: tuple[str, ...] = ()


def main(arguments: list[str], *, file: Path = FILE, root: Path = ROOT) -> int:
    """Fill if asked, then check and count."""
    parser = argparse.ArgumentParser(prog="python -m tools.catalogue", description="Check the practices catalogue.")
    parser.add_argument("--check", action="store_true", help="check every reference; this is done in any case")
    parser.add_argument("--areas", action="store_true", help="count per area too")
    parser.add_argument("--fill", metavar="FILE", type=Path, help="merge `id: {delivered: [], proof: []}` first")
    options = parser.parse_args(arguments)
    if options.fill:
        try:
            file.write_text(filled(file.read_text(), yaml.safe_load(options.fill.read_text()) or {}))
        except (OSError, ValueError, yaml.YAMLError) as error:
            parser.error(f"{options.fill}: {error}")
    practices = load(file)
    found = problems(practices, root)
    print("\n".join([*found, *summary(practices, areas=options.areas)]))
    return 1 if found else 0


def load(file: Path = FILE) -> list[Practice]:
    """Every entry of a catalogue, in its order."""
    # The C loader takes a tenth of the time; it is absent where PyYAML was built without libyaml.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    entries = yaml.load(file.read_text(), Loader=loader)  # noqa: S506 -- either one is a safe loader
    return [_practice(entry) for entry in entries]


def problems(practices: Iterable[Practice], root: Path) -> list[str]:
    """What is wrong: ids used twice, entries badly written or half filled, references to what does not exist."""
    practices = list(practices)
    uses = Counter(practice.id for practice in practices)
    twice = [f"{name}: the id is used {count} times" for name, count in uses.items() if count > 1]
    return twice + [f"{practice.id}: {flaw}" for practice in practices for flaw in _flaws(practice, root)]


def summary(practices: list[Practice], *, areas: bool = False) -> list[str]:
    """How many practices count, with a line per area if asked."""
    done = [practice for practice in practices if practice.delivered and practice.proof]
    whole, part = (Counter(practice.id.partition("-")[0] for practice in some) for some in (practices, done))
    lines = [f"  {area}: {part[area]} of {count}" for area, count in whole.items()] if areas else []
    return [*lines, f"practices: {len(done)} of {len(practices)} delivered and proven"]


def filled(text: str, additions: Mapping[str, Mapping[str, list[str]]]) -> str:
    """The catalogue's text with lists replaced; a list that is not given stays.

    Raises:
        ValueError: An id is not in the catalogue, or something other than `delivered` and `proof` with lists of
            text is given. The message names all of it.
    """
    if not isinstance(additions, Mapping):
        raise ValueError("It is not a mapping of ids to {delivered: [...], proof: [...]}")  # noqa: TRY004 -- read from a file
    blocks = re.split(r"(?m)^(?=- id: )", text)
    places = {match[1]: index for index, block in enumerate(blocks) if (match := re.match(r"- id: (\S+)", block))}
    if misfits := [misfit for name, lists in additions.items() for misfit in _misfits(name, lists, places)]:
        raise ValueError("\n".join(misfits))
    for name, lists in additions.items():
        for key, values in lists.items():
            blocks[places[name]] = _with_list(blocks[places[name]], key, values)
    return "".join(blocks)


def _practice(entry: dict[str, Any]) -> Practice:
    flaws = [f"{key} is missing" for key in _TEXTS if not entry.get(key)]
    flaws += [f"{key} is not a list" for key in _LISTS if not isinstance(entry.get(key), list)]
    flaws += [f"there is no such key as {key}" for key in entry if key not in _KNOWN]
    delivered, proof = (tuple(entry.get(key) or ()) for key in _LISTS)
    return Practice(str(entry.get("id", "?")), delivered, proof, tuple(flaws))


def _flaws(practice: Practice, root: Path) -> Iterator[str]:
    yield from practice.flaws
    if bool(practice.delivered) != bool(practice.proof):
        yield f"{'proof' if practice.delivered else 'delivered'} is empty; an entry has both or neither"
    for reference in practice.proof:
        if not _proves(reference):
            yield f"{reference} proves nothing; name a test, a ruff, contract or mypy rule, or a make target"
        elif not _exists(reference, root):
            yield f"there is no {reference}"
    for reference in practice.delivered:
        if _is_rule(reference):
            yield f"{reference} delivers nothing; it belongs under proof"
        elif not _exists(reference, root):
            yield f"there is no {reference}"


def _is_rule(reference: str) -> bool:
    return reference.startswith(("ruff:", "contract:", "mypy:"))


def _proves(reference: str) -> bool:
    is_test = re.fullmatch(r"tests/[\w/]+\.py::(?:\w+::)*test_\w+", reference)
    return bool(is_test) or _is_rule(reference) or reference.startswith("make ")


def _exists(reference: str, root: Path) -> bool:
    kind, _, name = reference.partition(":")
    if kind == "ruff":
        return _ruff_enforces(name, root)
    if kind == "contract":
        return name in _contracts(root)
    if kind == "mypy":
        return bool(_project(root)["mypy"].get(name))
    if reference.startswith("make "):
        return reference.removeprefix("make ") in _targets(root)
    path, _, symbol = reference.partition("::")
    # What lies outside the repository exists on one machine only.
    inside = path and (root / path).resolve().is_relative_to(root.resolve())
    if not inside or not (root / path).exists():
        return False
    return not symbol or symbol.replace("::", ".") in _symbols(root / path)


def _ruff_enforces(selector: str, root: Path) -> bool:
    # A family counts as long as one of its rules is not ignored.
    lint = _project(root)["ruff"]["lint"]
    return any(
        _selects(selector, code)
        and any(chosen == "ALL" or _selects(chosen, code) for chosen in lint.get("select", []))
        and not any(_selects(ignored, code) for ignored in lint.get("ignore", []))
        for code in _ruff_codes()
    )


def _selects(selector: str, code: str) -> bool:
    # `S` is S105 but not SIM105; `PL` alone spans several families (PLC, PLE, PLR, PLW).
    return re.fullmatch(rf"{re.escape(selector)}{'[A-Z]' if selector == 'PL' else ''}\d*", code) is not None


@cache
def _ruff_codes() -> tuple[str, ...]:
    # Rules in preview find nothing here: `preview` is off.
    listing = subprocess.run(  # noqa: S603 -- ruff itself, with constant arguments
        [Path(sys.executable).with_name("ruff"), "rule", "--all", "--output-format", "json"],
        check=True,
        capture_output=True,
    ).stdout
    return tuple(rule["code"] for rule in json.loads(listing) if rule["code"] and "Stable" in rule["status"])


@cache
def _contracts(root: Path) -> frozenset[str]:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(root / ".importlinter")
    return frozenset(section.removeprefix("importlinter:contract:") for section in parser.sections() if ":" in section)


@cache
def _targets(root: Path) -> frozenset[str]:
    rules: list[str] = re.findall(r"(?m)^(\w[\w./ -]*):(?!=)", (root / "Makefile").read_text())
    return frozenset(target for rule in rules for target in rule.split())


@cache
def _project(root: Path) -> dict[str, Any]:
    tools: dict[str, Any] = tomllib.loads((root / "pyproject.toml").read_text())["tool"]
    return tools


@cache
def _symbols(path: Path) -> frozenset[str]:
    return frozenset(_defined(ast.parse(path.read_text()).body)) if path.suffix == ".py" else frozenset()


def _defined(body: list[ast.stmt], prefix: str = "") -> Iterator[str]:
    for statement in body:
        for name in _names(statement):
            yield prefix + name
            if isinstance(statement, ast.ClassDef):
                yield from _defined(statement.body, f"{prefix}{name}.")


def _names(statement: ast.stmt) -> list[str]:
    match statement:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return [name]
        case ast.Assign(targets=targets):
            return [target.id for target in targets if isinstance(target, ast.Name)]
        case ast.AnnAssign(target=ast.Name(id=name)) | ast.TypeAlias(name=ast.Name(id=name)):
            return [name]
        case _:
            return []


def _misfits(name: str, lists: object, places: Mapping[str, int]) -> Iterator[str]:
    if name not in places:
        yield f"{name}: there is no such practice"
    if not isinstance(lists, Mapping):
        yield f"{name}: write it as {{delivered: [...], proof: [...]}}"
        return
    for key, values in lists.items():
        if key not in _LISTS:
            yield f"{name}: only delivered and proof can be filled, not {key}"
        elif not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            yield f"{name}: {key} is not a list of references"


def _with_list(block: str, key: str, values: list[str]) -> str:
    # The dumper quotes what has to be quoted; the width keeps each reference on its line.
    items = re.sub("(?m)^(?=-)", "  ", yaml.safe_dump(values, width=1000, allow_unicode=True))
    written = f"  {key}:\n{items}" if values else f"  {key}: []\n"
    return re.sub(rf"(?m)^  {key}:.*\n{_ITEMS}", lambda _: written, block, count=1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
