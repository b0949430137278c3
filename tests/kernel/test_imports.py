"""The kernel is standard library only, and importing costs nothing that is not asked for."""

import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src"


@pytest.mark.parametrize("module", ["mainspring", "mainspring.kernel", "mainspring.errors"])
def test_it_is_imported_where_no_package_is_installed(module):
    code = f"import sys; sys.path.insert(0, sys.argv[1]); import {module}; print({module}.__file__)"

    # -S: without site-packages; -I: without what the environment would add.
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, str(SOURCE)], capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(str(SOURCE))


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        ("mainspring", {"fastapi", "starlette", "sqlalchemy", "pydantic"}),
        ("mainspring.kernel", {"fastapi", "starlette", "sqlalchemy", "pydantic"}),
        ("mainspring.errors", {"fastapi", "starlette", "sqlalchemy", "pydantic"}),
        ("mainspring.settings", {"fastapi", "starlette", "sqlalchemy"}),
        ("mainspring.cli", {"fastapi", "starlette", "sqlalchemy", "pydantic"}),
    ],
)
def test_importing_it_loads_no_framework(module, unwanted):
    code = f"import sys, {module}; print(*(set(sys.argv[1:]) & sys.modules.keys()))"

    done = subprocess.run([sys.executable, "-c", code, *unwanted], capture_output=True, text=True, check=True)

    assert done.stdout.split() == []


def test_importing_everything_reads_no_environment_variable_of_ours(tmp_path):
    code = """
import os, sys

class Watched(dict):
    def _see(self, name):
        assert not str(name).upper().startswith(("MAINSPRING_", "DATABASE_URL", "SECRET")), name

    def __getitem__(self, name):
        self._see(name)
        return super().__getitem__(name)

    def get(self, name, default=None):
        self._see(name)
        return super().get(name, default)

    def __contains__(self, name):
        self._see(name)
        return super().__contains__(name)

os.environ = Watched(os.environ)
import mainspring.app, mainspring.accounts, mainspring.ai, mainspring.cli, mainspring.testing
"""

    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")
    assert list(tmp_path.iterdir()) == []
