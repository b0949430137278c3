"""A process of its own, and what it has printed so far."""

import re
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest


class Printing:
    """A command that runs until it ends by itself or is told to.

    Attributes:
        lines: What it has printed so far, on both streams.
        process: It.
        seconds: How long to wait for anything that it should do.
    """

    def __init__(self, command: Sequence[str], folder: Path, environment: dict[str, str], *, seconds: float) -> None:
        self.lines: list[str] = []
        self.seconds = seconds
        self._changed = threading.Condition()
        self.process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    @property
    def output(self) -> str:
        with self._changed:
            return "".join(self.lines)

    def wait_for(self, pattern: str, *, times: int = 1) -> str:
        """Until the pattern has been printed so often; returns the last match."""
        with self._changed:
            self._changed.wait_for(
                lambda: len(re.findall(pattern, "".join(self.lines))) >= times or not self.reader.is_alive(),
                self.seconds,
            )
        found: list[str] = re.findall(pattern, self.output)
        if len(found) < times:
            pytest.fail(f"{pattern!r} did not come {times} times:\n{self.output[-9000:]}")
        return found[-1]

    def code(self) -> int:
        """The exit code, once it has ended; everything that it printed is there then."""
        code = self.process.wait(self.seconds)
        self.reader.join(self.seconds)
        return code

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                with self._changed:
                    self.lines.append(line)
                    self._changed.notify_all()
        with self._changed:
            self._changed.notify_all()
