"""A small shop as a project of its own, and the command line run on it: in this process, or in one of its own."""

import json
import logging
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

import pytest
import structlog

from tests.printing import Printing

MAINSPRING = str(Path(sys.executable).parent / "mainspring")
SECONDS = 30

SETTINGS = """
    from pydantic_settings import SettingsConfigDict
    from mainspring.settings import Settings as Chassis

    class Settings(Chassis):
        model_config = SettingsConfigDict(env_prefix="SHOP_")

        greeting: str = "hello"
        '''What the shop says first.'''
"""
APP = """
    from fastapi import APIRouter
    from mainspring.app import create_app
    from mainspring.kernel import Module
    from shop.settings import Settings

    router = APIRouter(tags=["shop"])

    @router.get("/greeting")
    async def greeting() -> str:
        return "hello"

    def build():
        return create_app("shop", settings=Settings(), modules=[Module(name="till", summary="Sells", routers=(router,))])
"""
_EACH = """
import io, json, shlex, sys
from contextlib import redirect_stderr, redirect_stdout
from mainspring.cli import main

ended = []
for command in sys.argv[1:]:
    with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as err:
        try:
            main(shlex.split(command))
        except SystemExit as end:
            ended.append({"code": end.code, "out": out, "err": err})
print(json.dumps(ended, default=io.StringIO.getvalue))
"""


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


class Running(Printing):
    """A command that goes on until it is told to stop."""

    def __init__(self, arguments: tuple[str, ...], folder: Path, environment: dict[str, str]) -> None:
        super().__init__([MAINSPRING, *arguments], folder, environment, seconds=SECONDS)

    def url(self) -> str:
        return self.wait_for(r"http://127\.0\.0\.1:\d+")

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def end(self, number: signal.Signals = signal.SIGINT) -> int:
        self.process.send_signal(number)
        return self.code()

    def clean_up(self) -> None:
        if self.process.poll() is None:
            # Its children end with it: the reloader and the supervisor take them along on SIGTERM.
            self.process.terminate()
            try:
                self.process.wait(SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.reader.join(SECONDS)


class Project:
    """A folder with a service in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.write("pyproject.toml", '[tool.mainspring]\napp = "shop.app:build"\n')
        self.write("src/shop/__init__.py", "")
        self.write("src/shop/settings.py", SETTINGS)
        self.write("src/shop/app.py", APP)

    def write(self, path: str, text: str) -> Path:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(dedent(text), encoding="utf-8")
        return file

    def run(self, *arguments: str, **environment: str) -> Ended:
        """Run a command to its end, in a process of its own, with its output in pipes."""
        done = subprocess.run(
            [MAINSPRING, *arguments],
            cwd=self.folder,
            env=_environment(environment),
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        return Ended(done.returncode, done.stdout, done.stderr)

    def run_each(self, *commands: str, **environment: str) -> list[Ended]:
        """Run commands one after the other in one process, which spares each of them the imports."""
        done = subprocess.run(
            [sys.executable, "-c", _EACH, *commands],
            cwd=self.folder,
            env=_environment(environment),
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return [Ended(**ended) for ended in json.loads(done.stdout)]

    def run_on_a_terminal(self, *arguments: str, **environment: str) -> Ended:
        """The same with both streams on one terminal."""
        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            [MAINSPRING, *arguments],
            cwd=self.folder,
            env=_environment({"TERM": "xterm-256color", "COLUMNS": "120"} | environment),
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)
        output = b"".join(_everything(ours))
        os.close(ours)
        return Ended(process.wait(SECONDS), output.decode(), "")

    @contextmanager
    def start(self, *arguments: str, **environment: str) -> Iterator[Running]:
        """Start a command that goes on; it is stopped at the end of the block."""
        running = Running(arguments, self.folder, _environment(environment))
        try:
            yield running
        finally:
            running.clean_up()


class CommandLine:
    """`mainspring` in this process."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *arguments: str) -> Ended:
        from mainspring.cli import main

        self._capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        code = ended.value.code
        assert isinstance(code, int)
        printed = self._capsys.readouterr()
        return Ended(code, printed.out, printed.err)


@pytest.fixture
def project(tmp_path) -> Project:
    return Project(tmp_path)


@pytest.fixture
def cli(project, monkeypatch, capsys) -> Iterator[CommandLine]:
    """The command line, standing in the project's folder; leaves this process as it was."""
    monkeypatch.chdir(project.folder)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    environment, modules = dict(os.environ), set(sys.modules)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield CommandLine(capsys)
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()
    os.environ.clear()
    os.environ.update(environment)
    for name in set(sys.modules) - modules:
        if name.partition(".")[0] in {"shop", "other"}:
            del sys.modules[name]


def _environment(extra: dict[str, str]) -> dict[str, str]:
    without = {"NO_COLOR", "FORCE_COLOR", "COLUMNS"}
    # Files change within one second in these tests, too quickly for cached bytecode to notice.
    return {k: v for k, v in os.environ.items() if k not in without} | {"PYTHONDONTWRITEBYTECODE": "1"} | extra


def _everything(terminal: int) -> Iterator[bytes]:
    while True:
        try:
            data = os.read(terminal, 65536)
        except OSError:  # Linux reports the end of a terminal as an error
            return
        if not data:
            return
        yield data
