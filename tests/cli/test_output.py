"""Pleasant on a terminal, plain in a pipe."""

import json

import pytest

DRAWN = "─│╭╰"
# The default `caught:` mail and docs are fine here; only the secret is missing.
BROKEN = {"PORT": "eighty"}


@pytest.mark.parametrize("command", [("routes",), ("explain",), ("config", "show"), ("status",), ("--help",)])
def test_in_a_pipe_there_is_no_escape_code_and_no_box(project, command):
    ended = project.run(*command, DATABASE_URL="sqlite:///shop.db")

    assert ended.code == 0
    assert "\x1b" not in ended.out + ended.err
    assert not set(DRAWN) & set(ended.out)


def test_in_a_pipe_columns_are_aligned_and_a_row_is_a_line(project):
    heading, *rows = project.run("routes").out.splitlines()

    column = heading.index("path")
    assert all(row[column - 1] == " " and row[column] == "/" for row in rows)
    assert rows[0].split() == ["GET", "/api/v1/greeting", "-", "shop.app.greeting"]


def test_on_a_terminal_tables_are_drawn_and_coloured(project):
    ended = project.run_on_a_terminal("routes")

    assert ended.code == 0
    assert "\x1b[36m" in ended.out
    assert "─" in ended.out


def test_no_color_takes_the_colours_away(project):
    ended = project.run_on_a_terminal("routes", NO_COLOR="1")

    assert ended.code == 0
    assert "\x1b[36m" not in ended.out


def test_a_boot_report_is_drawn_on_a_terminal(project):
    ended = project.run_on_a_terminal("routes", **BROKEN)

    assert ended.code == 78
    assert "╭" in ended.out
    assert "The service does not start: 1 problem." in ended.out
    assert "Give PORT a valid value." in ended.out


def test_a_boot_report_is_plain_in_a_pipe_and_leaves_standard_output_alone(project):
    ended = project.run("routes", **BROKEN)

    assert (ended.code, ended.out) == (78, "")
    assert ended.err.startswith("The service does not start: 1 problem.\n\n  1. PORT  [environment]\n")
    assert "\x1b" not in ended.err


def test_what_a_factory_logs_does_not_spoil_the_json(cli, project):
    project.write(
        "src/other.py",
        """
        from mainspring.observability import configure_logging, get_logger
        from shop.app import build as build_shop

        def build():
            get_logger(__name__).warning("Before")
            configure_logging(form="json")
            app = build_shop()
            return app
        """,
    )

    ended = cli("--app", "other:build", "routes", "--json")

    assert json.loads(ended.out)
    assert "Before" in ended.err
