"""What an area offers is what its `__all__` says, and is written down."""

import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import mainspring

ROOT = Path(__file__).parents[2]
AREAS = [found.name for found in pkgutil.iter_modules(mainspring.__path__, "mainspring.") if found.ispkg]


@pytest.mark.parametrize("name", AREAS)
def test_an_areas_names_are_those_in_its_all(name):
    area = importlib.import_module(name)
    if "__getattr__" in vars(area):  # names are loaded when they are asked for
        assert all(getattr(area, public) for public in area.__all__)
        return
    # pytest rewrites the assertions of packages that bring a plugin, and leaves names that are no identifiers.
    named = {n: item for n, item in vars(area).items() if n.isidentifier() and not n.startswith("_")}
    public = {n for n, item in named.items() if not hasattr(item, "__path__")}
    submodules = {found.name for found in pkgutil.iter_modules(area.__path__)}

    assert public - submodules == set(area.__all__) - submodules
    assert sorted(area.__all__) == sorted(set(area.__all__))


@pytest.mark.parametrize("name", AREAS)
def test_everything_public_is_explained(name):
    area = importlib.import_module(name)

    assert area.__doc__
    for public in area.__all__:
        item = getattr(area, public)
        if isinstance(item, type) or callable(item):
            assert item.__doc__, f"{name}.{public} has no docstring"


def test_the_reference_is_up_to_date():
    done = subprocess.run(
        [sys.executable, "-m", "tools.reference", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout
