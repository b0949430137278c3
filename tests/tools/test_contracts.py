"""The import contracts hold, and can fail."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINT_IMPORTS = str(Path(sys.executable).parent / "lint-imports")

PRIVATE_ONLY = """
[importlinter]
root_package = shop
contract_types =
    private: tools.private_contract.PrivateModulesContract

[importlinter:contract:private]
name = Underscore modules stay inside their package
type = private
"""


def lint(folder, configuration):
    code = (
        "import sys; sys.path[:0] = sys.argv[2:]; from importlinter.cli import lint_imports; "
        "sys.exit(lint_imports(config_filename=sys.argv[1], no_cache=True))"
    )
    command = [sys.executable, "-c", code, str(configuration), str(folder), str(ROOT)]
    wide = os.environ | {"COLUMNS": "200"}
    return subprocess.run(command, cwd=folder, env=wide, capture_output=True, text=True, check=False)


def write(folder, files):
    for path, text in files.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


class TestPrivateModules:
    @pytest.fixture
    def shop(self, tmp_path):
        files = {
            "contracts.ini": PRIVATE_ONLY,
            "shop/__init__.py": "",
            "shop/_prices.py": "Price = 1",
            "shop/stock/__init__.py": "from ._shelf import Shelf",
            "shop/stock/_shelf.py": "from shop._prices import Price\nShelf = 1",
            "shop/stock/_parts/__init__.py": "from ._bolt import Bolt",
            "shop/stock/_parts/_bolt.py": "Bolt = 1",
            "shop/stock/_parts/nut.py": "from .._shelf import Shelf",
            "shop/stock/count/__init__.py": "from shop.stock._shelf import Shelf\nfrom shop.stock._parts import Bolt",
            "shop/till.py": "from __future__ import annotations\nfrom _bisect import bisect\nfrom shop.stock import Shelf",
        }
        write(tmp_path, files)
        return tmp_path

    def test_everything_inside_a_package_may_use_its_private_modules(self, shop):
        done = lint(shop, shop / "contracts.ini")

        assert done.returncode == 0, done.stdout + done.stderr
        assert "Underscore modules stay inside their package KEPT" in done.stdout

    def test_every_import_from_outside_is_named_with_the_owner_however_it_is_written(self, shop):
        write(
            shop,
            {
                "shop/__init__.py": "import shop.stock._shelf",
                "shop/till.py": "def open():\n    from .stock import _shelf\n",
                "shop/stock/count/__init__.py": "from shop.stock._parts._bolt import Bolt",
                "shop/orders/__init__.py": "from ..stock._parts import nut",
            },
        )

        done = lint(shop, shop / "contracts.ini")

        assert done.returncode == 1
        found = [line for line in done.stdout.splitlines() if " imports shop" in line]
        assert found == [
            "shop imports shop.stock._shelf, which is private to shop.stock.",
            "shop.orders imports shop.stock._parts.nut, which is private to shop.stock.",
            "shop.stock.count imports shop.stock._parts._bolt, which is private to shop.stock._parts.",
            "shop.till imports shop.stock._shelf, which is private to shop.stock.",
        ]


class TestTheProjectsContracts:
    @pytest.fixture
    def skeleton(self, tmp_path):
        """Every area that there is, empty, under the project's own contracts."""
        shutil.copy(ROOT / ".importlinter", tmp_path)
        areas = sorted(path.parent.name for path in (ROOT / "src/mainspring").glob("*/__init__.py"))
        write(tmp_path, {f"mainspring/{area}/__init__.py": "" for area in areas})
        write(
            tmp_path,
            {"mainspring/__init__.py": "", "mainspring/data/_session.py": "", "deepagents/__init__.py": ""},
        )
        return tmp_path

    def test_they_are_kept(self):
        done = subprocess.run([LINT_IMPORTS, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)

        assert done.returncode == 0, done.stdout + done.stderr
        assert ", 0 broken." in done.stdout

    def test_what_the_architecture_allows_is_kept(self, skeleton):
        write(
            skeleton,
            {
                "mainspring/accounts/_models.py": "import sqlalchemy\nfrom mainspring.data import Base",
                "mainspring/ai/_providers/__init__.py": "",
                "mainspring/ai/_providers/_openai.py": "import openai, anthropic, google.genai",
                "mainspring/cli/_run.py": "import mainspring.testing, mainspring.app",
                "mainspring/data/__init__.py": "from ._session import Session",
                "mainspring/data/_engine.py": "from sqlalchemy.ext import asyncio",
                "mainspring/http/_text.py": "import fastapi\nfrom mainspring.errors import NotFound",
                "deepagents/models.py": "import sqlalchemy, fastapi\nfrom mainspring.app import create_app",
            },
        )

        done = lint(skeleton, skeleton / ".importlinter")

        assert done.returncode == 0, done.stdout + done.stderr

    @pytest.mark.parametrize(
        ("file", "text", "broken"),
        [
            ("mainspring/data/_jump.py", "from mainspring.app import create_app", "Runtime layers"),
            ("mainspring/security/_jump.py", "import mainspring.mail", "Runtime layers"),
            ("mainspring/ai/_jump.py", "def late():\n    import mainspring.accounts", "Runtime layers"),
            ("mainspring/wallet/__init__.py", "", "Runtime layers"),
            ("mainspring/app/_jump.py", "import deepagents", "The chassis knows no application"),
            ("mainspring/http/_jump.py", "import sqlalchemy", "SQLAlchemy is spoken only in data"),
            ("mainspring/ai/_jump.py", "from sqlalchemy.orm import Session", "SQLAlchemy is spoken only in data"),
            ("mainspring/http/_redis.py", "import redis.asyncio", "Redis is spoken only in one module"),
            ("deepagents/jump.py", "import redis", "Redis is spoken only in one module"),
            ("mainspring/ai/_jump.py", "import openai", "Model providers are spoken to only in ai's providers"),
            (
                "mainspring/kernel/_jump.py",
                "import google.genai",
                "Model providers are spoken to only in ai's providers",
            ),
            ("deepagents/jump.py", "import anthropic", "Model providers are spoken to only in ai's providers"),
            (
                "mainspring/errors/_jump.py",
                "import starlette.exceptions",
                "The kernel, errors and settings do not know",
            ),
            ("mainspring/settings/_jump.py", "import fastapi", "The kernel, errors and settings do not know"),
            ("mainspring/kernel/_jump.py", "import pydantic", "The kernel is standard library only"),
            ("deepagents/jump.py", "from mainspring.data import _session", "Underscore modules stay inside"),
        ],
    )
    def test_what_it_forbids_breaks_the_contract_that_says_so_and_no_other(self, skeleton, file, text, broken):
        write(skeleton, {file: text})

        done = lint(skeleton, skeleton / ".importlinter")

        assert done.returncode == 1, done.stdout + done.stderr
        verdicts = [line for line in done.stdout.splitlines() if line.endswith("BROKEN")]
        assert [line.startswith(broken) for line in verdicts] == [True], done.stdout

    def test_siblings_that_need_each_other_are_found_below_the_areas_too(self, skeleton):
        write(
            skeleton,
            {
                "deepagents/agents/__init__.py": "from deepagents.runs import Run",
                "deepagents/runs/__init__.py": "from deepagents.agents import Agent",
            },
        )

        done = lint(skeleton, skeleton / ".importlinter")

        assert done.returncode == 1, done.stdout + done.stderr
        assert "No cycles between siblings BROKEN" in done.stdout
