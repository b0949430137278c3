"""`config`: the settings, shown, checked, made."""

import json
import re

import pytest


@pytest.fixture(autouse=True)
def _shop_environment(monkeypatch):
    monkeypatch.setenv("SHOP_DATABASE_URL", "postgresql://shop:hunter2@db.example/shop")


class TestShow:
    def test_gives_every_setting_with_its_source_and_no_secret(self, cli, project):
        project.write(".env", "GREETING=good morning\nSECRET_KEY=s3cr3t-s3cr3t\n")

        ended = cli("config", "show")

        lines = [re.split(r"\s{2,}", line) for line in ended.out.splitlines()]
        assert ended.code == 0
        assert lines[0] == ["setting", "value", "source"]
        assert ["SHOP_DATABASE_URL", "postgresql://shop:********@db.example/shop", "environment"] in lines
        assert ["GREETING", "good morning", ".env"] in lines
        assert ["SECRET_KEY", "********", ".env"] in lines
        assert ["PORT", "8000", "default"] in lines

    def test_works_while_the_settings_are_broken_and_reports_the_problems(self, cli, monkeypatch):
        monkeypatch.setenv("SHOP_PORT", "eighty")

        plain = cli("config", "show")
        machine = cli("config", "show", "--json")

        assert (plain.code, machine.code) == (78, 78)
        assert re.search(r"SHOP_PORT +eighty +environment", plain.out)
        assert "1. SHOP_PORT  [environment]" in plain.err
        found = json.loads(machine.out)
        assert {"key": "SHOP_PORT", "value": "eighty", "source": "environment"} in found["settings"]
        assert [problem["key"] for problem in found["problems"]] == ["SHOP_PORT"]
        assert machine.err == ""

    def test_is_json_without_problems_for_machines(self, cli):
        found = json.loads(cli("config", "show", "--json").out)

        assert found["problems"] == []
        assert "hunter2" not in str(found)


class TestCheck:
    def test_says_that_all_is_sound_and_where(self, cli):
        ended = cli("config", "check")

        assert (ended.code, ended.out) == (0, "All settings are sound (ENVIRONMENT=development).\n")

    def test_answers_as_if_in_another_environment(self, cli, monkeypatch):
        monkeypatch.setenv("SHOP_ENVIRONMENT", "test")

        ended = cli("config", "check", "--environment", "production")

        assert (ended.code, ended.out) == (78, "")
        assert re.findall(r"^  \d+\. (\w+)", ended.err, re.MULTILINE) == ["SECRET_KEY", "ALLOWED_HOSTS"]

    def test_passes_for_production_once_everything_is_set(self, cli, monkeypatch):
        monkeypatch.setenv("SECRET_KEY", cli("config", "secret").out.strip())
        monkeypatch.setenv("ALLOWED_HOSTS", "shop.test")

        ended = cli("config", "check", "--environment", "production")

        assert (ended.code, ended.out) == (0, "All settings are sound (ENVIRONMENT=production).\n")

    def test_reads_the_file_of_the_environment_it_is_asked_about(self, cli, project):
        project.write(".env.production", "ALLOWED_HOSTS=shop.test\n")

        ended = cli("config", "check", "--environment", "production")

        assert "ALLOWED_HOSTS" not in ended.err

    def test_does_not_pretend_when_code_sets_the_environment(self, cli, project):
        project.write(
            "src/other.py",
            """
            from mainspring.app import create_app
            from shop.settings import Settings

            def build():
                return create_app("other", settings=Settings(environment="test"))
            """,
        )

        ended = cli("--app", "other:build", "config", "check", "--environment", "production")

        assert (ended.code, ended.out) == (2, "")
        assert "sets environment=test" in ended.err

    def test_reports_parts_that_do_not_fit_together(self, cli, project):
        project.write(
            "src/other.py",
            """
            from mainspring.app import create_app
            from mainspring.kernel import Module
            from shop.settings import Settings

            def build():
                return create_app("other", settings=Settings(), modules=[Module(name="till"), Module(name="till")])
            """,
        )

        ended = cli("--app", "other:build", "config", "check")

        assert (ended.code, "1. module till" in ended.err) == (78, True)


def test_the_token_for_operators_is_not_shown(cli, monkeypatch):
    monkeypatch.setenv("OPERATIONS_TOKEN", "q8s7dJ2kLp0VbX4nT6yR1wZ3mC5hF9aE")
    monkeypatch.setenv("METRICS_PORT", "9100")

    shown = [line.split() for line in cli("config", "show").out.splitlines()]

    assert ["OPERATIONS_TOKEN", "********", "environment"] in shown
    assert ["METRICS_PORT", "9100", "environment"] in shown


def test_a_secret_is_long_and_another_one_each_time(cli):
    first, second = (cli("config", "secret").out.strip() for _ in range(2))

    assert len(first) >= 64
    assert first != second


class TestExample:
    def test_has_every_setting_commented_out_with_its_meaning_and_default(self, cli):
        text = cli("config", "example").out

        assert "# What the shop says first.\n# GREETING=hello\n" in text
        assert "# SHOP_HOST=127.0.0.1\n" in text
        assert "# SECRET_KEY=\n" in text

    def test_asks_for_what_has_no_default(self, cli, project):
        project.write(
            "src/shop/settings.py",
            """
            from mainspring.settings import Settings as Chassis

            class Settings(Chassis):
                region: str
            """,
        )

        assert "\n#\nREGION=\n" in cli("config", "example").out

    def test_is_itself_a_sound_configuration(self, cli, project):
        project.write(".env", cli("config", "example").out)

        assert cli("config", "check").code == 0
