"""The command itself: help, usage errors, exit codes."""

import pytest

COMMANDS = ("dev", "serve", "routes", "explain", "status", "version", "openapi", "config", "db")


def test_help_lists_every_command_and_what_the_exit_codes_mean(cli):
    ended = cli("--help")

    assert ended.code == 0
    assert all(f"\n  {command} " in ended.out for command in COMMANDS)
    assert "78" in ended.out


@pytest.mark.parametrize("command", ["dev", "serve", "status", "openapi"])
def test_each_command_says_in_its_help_how_it_ends(cli, command):
    ended = cli(command, "--help")

    assert (ended.code, "xit code" in ended.out) == (0, True)


@pytest.mark.parametrize(
    "arguments", [("nonsense",), ("routes", "--nonsense"), ("db", "downgrade"), ("dev", "--port", "x")]
)
def test_wrong_usage_has_a_code_of_its_own(cli, arguments):
    ended = cli(*arguments)

    assert (ended.code, ended.out) == (2, "")
    assert "Error" in ended.err


def test_nothing_heavy_is_imported_for_the_help(project):
    project.write(
        "probe.py",
        """
        import sys
        from mainspring.cli import main

        try:
            main(["--help"])
        except SystemExit:
            heavy = {"fastapi", "sqlalchemy", "pydantic", "rich", "asyncio", "uvicorn"} & set(sys.modules)
            assert not heavy, heavy
        """,
    )
    import subprocess
    import sys

    done = subprocess.run([sys.executable, project.folder / "probe.py"], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")


def test_it_runs_as_a_module_too(project):
    import subprocess
    import sys

    done = subprocess.run(
        [sys.executable, "-m", "mainspring.cli", "routes"],
        cwd=project.folder,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, "/api/v1/greeting" in done.stdout) == (0, True)
