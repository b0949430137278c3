"""With every extra and with none, the service starts and answers every route that it documents."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import requires
from pathlib import Path
from typing import Any

import httpx2
import pytest
from packaging.requirements import Requirement

from .service import clean_environment, running

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

# What an extra's distribution is imported as, where the two names differ.
MODULES = {
    "genai-prices": "genai_prices",
    "nats-py": "nats",
    "opentelemetry-exporter-otlp-proto-http": "opentelemetry.exporter",
    "opentelemetry-sdk": "opentelemetry.sdk",
    "prometheus-client": "prometheus_client",
    "sentry-sdk": "sentry_sdk",
}

PARAMETER = re.compile(r"\{[^}]*\}")
NOBODYS = "00000000-0000-4000-8000-000000000000"

# A process that finds this on its path finds none of the modules named in MISSING, as if they were not installed.
SITE = """
import os, sys
from importlib.machinery import PathFinder
missing = tuple(os.environ["MISSING"].split(","))
class Without(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        gone = name in missing or name.startswith(tuple(f"{module}." for module in missing))
        return None if gone else super().find_spec(name, path, target)
sys.meta_path[sys.meta_path.index(PathFinder)] = Without
"""


def extras() -> dict[str, list[str]]:
    """The modules that each extra brings."""
    found: dict[str, list[str]] = {}
    for line in requires("mainspring") or ():
        requirement = Requirement(line)
        if requirement.marker is None or requirement.name == "mainspring":
            continue
        name = str(requirement.marker).rpartition("== ")[2].strip("\"'")
        found.setdefault(name, []).append(MODULES.get(requirement.name, requirement.name.replace("-", "_")))
    return found


EXTRAS = extras()
COMBINATIONS = {"every": [], "none": list(EXTRAS)} | {f"without {name}": [name] for name in sorted(EXTRAS)}


def test_the_names_that_are_blocked_are_those_that_would_be_imported():
    assert {"postgres", "redis", "otel", "sentry"} <= EXTRAS.keys()
    assert EXTRAS["postgres"] == ["asyncpg"]


def operations(description: dict[str, Any]) -> Iterator[tuple[str, str, set[str]]]:
    for path, methods in description["paths"].items():
        for method, operation in methods.items():
            if method in {"get", "post", "put", "patch", "delete"}:
                yield method, PARAMETER.sub(NOBODYS, path), set(operation["responses"])


@pytest.mark.timeout(120)
@pytest.mark.parametrize("combination", COMBINATIONS)
def test_it_boots_and_answers_every_documented_route(tmp_path, combination):
    missing = [module for name in COMBINATIONS[combination] for module in EXTRAS[name]]
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(SITE if missing else "")

    with running(tmp_path, PYTHONPATH=str(site), MISSING=",".join(missing)) as service:
        description = httpx2.get(f"{service.url}/openapi.json", timeout=20).raise_for_status().json()
        asked = list(operations(description))
        assert len(asked) > 15
        for method, path, documented in asked:
            answer = httpx2.request(method, f"{service.url}{path}", timeout=20)
            assert str(answer.status_code) in documented, (method, path, answer.text)
            assert answer.status_code < 500
        assert httpx2.get(f"{service.url}/health/ready", timeout=20).json()["status"] == "ready"


@pytest.mark.timeout(120)
def test_a_setting_that_needs_a_missing_extra_says_which_one(tmp_path):
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(SITE)
    environment = clean_environment(
        PYTHONPATH=str(site), MISSING="asyncpg", DATABASE_URL="postgresql://postgres@127.0.0.1:1/nothing"
    )
    command = [str(Path(sys.executable).parent / "mainspring"), "--app", "deepagents.app:build", "serve", "--port", "0"]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment | {"COLUMNS": "200"}, capture_output=True, text=True, check=False
    )

    assert done.returncode == os.EX_CONFIG
    assert "1 problem." in done.stderr
    assert "mainspring[postgres]" in done.stderr
