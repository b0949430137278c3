"""How long a newcomer waits: imports, the command line, and a service from its command to its first answer."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from bench.harness import machine, publish

MAINSPRING = str(Path(sys.executable).parent / "mainspring")
COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "import mainspring": [sys.executable, "-c", "import mainspring"],
    "import fastapi": [sys.executable, "-c", "import fastapi"],
    "import mainspring.app": [sys.executable, "-c", "import mainspring.app"],
    "mainspring --help": [MAINSPRING, "--help"],
    "mainspring --version": [MAINSPRING, "--version"],
    "DeepAgents: compose and migrate": [MAINSPRING, "--app", "deepagents.app:build", "db", "upgrade"],
}


def main(*, rounds: int, seconds: int) -> None:
    del seconds
    took: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(max(rounds, 5)):
        for name, command in COMMANDS.items():
            took[name].append(once(command))
    rows = [f"| {name} | {median(times) * 1000:.0f} | {min(times) * 1000:.0f} |" for name, times in took.items()]
    head = ["### Start-up", machine(), "", "| what | median ms | least ms |", "|---|--:|--:|"]
    publish("startup", "\n".join([*head, *rows, ""]))


def once(command: list[str]) -> float:
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        subprocess.run(command, cwd=folder, env=os.environ, capture_output=True, check=True)
        return time.perf_counter() - began
