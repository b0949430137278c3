"""The service as a newcomer meets it: a process of its own, a real socket, a real browser."""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

READY = re.compile(r"http://127\.0\.0\.1:\d+")
START_SECONDS = 40
STOP_SECONDS = 20


class Service:
    """A running `mainspring dev`.

    Attributes:
        url: Where it answers.
        output: What it has printed so far.
    """

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.output: list[str] = []
        self.url = ""
        self._ready = threading.Event()
        command = [str(Path(sys.executable).parent / "mainspring"), "--app", "deepagents.app:build"]
        self._process = subprocess.Popen(
            [*command, "dev", "--no-reload", "--port", "0"],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def wait(self) -> None:
        """Until it says where it answers."""
        if not self._ready.wait(START_SECONDS):
            self.kill()
            pytest.fail("The service did not come up:\n" + "".join(self.output))

    def stop(self) -> int:
        """Ctrl-C; returns the exit code."""
        self._process.send_signal(signal.SIGINT)
        code = self._process.wait(STOP_SECONDS)
        self._reader.join(STOP_SECONDS)
        return code

    def kill(self) -> None:
        """Without a chance to clean up."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait(STOP_SECONDS)
        self._reader.join(STOP_SECONDS)

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                self.output.append(line)
                found = READY.search(line)
                if found and not self.url:
                    self.url = found.group()
                    self._ready.set()
        self._ready.set()


def clean_environment(**extra: str) -> dict[str, str]:
    """This process's environment without any setting of ours."""
    ours = re.compile(
        r"(DEEPAGENTS_|MAINSPRING_|DATABASE_|SECRET_|ENVIRONMENT$|AI_|MAIL_|ALLOW|LOG_|METRICS_|OPERATIONS_|OTEL_|SENTRY_"
        r"|PORT$|DEBUG$)"
    )
    return {name: value for name, value in os.environ.items() if not ours.match(name)} | extra


@contextmanager
def running(folder: Path, **environment: str) -> Iterator[Service]:
    """The service in `folder`, killed at the end if it still runs."""
    service = Service(folder, clean_environment(**environment))
    try:
        service.wait()
        yield service
    finally:
        service.kill()
