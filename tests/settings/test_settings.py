"""Settings: where values come from, and what is refused."""

from typing import Annotated

import pytest
from pydantic import Field, ValidationError, field_validator
from pydantic_settings import NoDecode

from mainspring.settings import (
    BootError,
    Environment,
    Origin,
    Problem,
    Settings,
)
from tests.settings.shop import GOOD, GOOD_SECRET, ShopSettings, problems


class TestSources:
    def test_with_nothing_set_the_defaults_hold_and_say_so(self):
        settings = Settings()

        assert (settings.environment, settings.port) == ("development", 8000)
        assert settings.origin("port") == Origin("PORT", "default")

    def test_code_wins_over_environment_over_files_over_secrets(self, monkeypatch, clean):
        (clean / "secrets").mkdir()
        (clean / "secrets" / "port").write_text("1")
        assert ShopSettings().origin("port") == Origin("PORT", "secrets (secrets)")
        (clean / ".env").write_text("PORT=2\n")
        assert (ShopSettings().port, ShopSettings().origin("port").source) == (2, ".env")
        (clean / ".env.development").write_text("PORT=3\n")
        assert (ShopSettings().port, ShopSettings().origin("port").source) == (3, ".env.development")
        monkeypatch.setenv("PORT", "4")
        assert (ShopSettings().port, ShopSettings().origin("port").source) == (4, "environment")
        assert (ShopSettings(port=5).port, ShopSettings(port=5).origin("port").source) == (5, "code")

    def test_the_prefixed_name_wins_over_the_common_one(self, monkeypatch):
        monkeypatch.setenv("PORT", "1")
        monkeypatch.setenv("SHOP_PORT", "2")

        assert ShopSettings().port == 2
        assert ShopSettings().origin("port") == Origin("SHOP_PORT", "environment")

    def test_a_name_that_other_programs_use_counts_only_with_the_prefix(self, monkeypatch):
        monkeypatch.setenv("HOST", "build-machine")
        assert ShopSettings().host == "127.0.0.1"
        monkeypatch.setenv("SHOP_HOST", "0.0.0.0")
        assert ShopSettings().host == "0.0.0.0"

    def test_the_environments_name_from_dotenv_decides_which_file_counts(self, clean):
        (clean / ".env").write_text("ENVIRONMENT=test\nPORT=1\n")
        (clean / ".env.test").write_text("PORT=2\n")
        (clean / ".env.development").write_text("PORT=3\n")

        assert (ShopSettings().environment, ShopSettings().port) == ("test", 2)

    def test_an_empty_variable_is_as_good_as_none(self, monkeypatch):
        monkeypatch.setenv("PORT", "")

        assert ShopSettings().port == 8000

    def test_another_secrets_directory_can_be_named(self, monkeypatch, clean):
        (clean / "vault").mkdir()
        (clean / "vault" / "shop_payment_key").write_text("p4y\n")
        monkeypatch.setenv("SECRETS_DIR", str(clean / "vault"))

        assert ShopSettings().payment_key.get_secret_value() == "p4y"

    def test_the_prefix_decides_within_a_source_and_the_source_between_them(self, monkeypatch, clean):
        (clean / ".env").write_text("SHOP_PORT=1\n")
        monkeypatch.setenv("PORT", "2")

        assert ShopSettings().origin("port") == Origin("PORT", "environment")

    def test_another_services_prefix_is_not_ours(self, monkeypatch):
        monkeypatch.setenv("MAINSPRING_PORT", "1")
        monkeypatch.setenv("DEPOT_PORT", "2")

        assert ShopSettings().port == 8000

    def test_a_name_that_other_programs_use_does_not_count_in_files_either(self, clean):
        (clean / "secrets").mkdir()
        (clean / "secrets" / "workers").write_text("2")
        (clean / ".env").write_text("HOST=build-machine\nWORKERS=9\n")

        settings = ShopSettings()

        assert (settings.host, settings.workers) == ("127.0.0.1", None)
        assert settings.origin("host") == Origin("SHOP_HOST", "default")

    @pytest.mark.parametrize("name", ["ENVIRONMENT", "environment", "SHOP_ENVIRONMENT"])
    def test_however_the_environment_is_named_it_decides_which_file_counts(self, monkeypatch, clean, name):
        (clean / ".env.test").write_text("PORT=2\n")
        (clean / ".env.development").write_text("PORT=3\n")
        monkeypatch.setenv(name, "test")

        assert (ShopSettings().environment, ShopSettings().port) == ("test", 2)

    def test_the_environments_own_source_does_not_matter(self, clean):
        class Rehearsal(ShopSettings):
            environment: Environment = "test"

        (clean / ".env.test").write_text("PORT=2\n")
        (clean / ".env.development").write_text("PORT=3\n")
        assert Rehearsal().port == ShopSettings(environment="test").port == 2
        (clean / "secrets").mkdir()
        (clean / "secrets" / "environment").write_text("test")
        assert (ShopSettings().environment, ShopSettings().port) == ("test", 2)

    def test_the_first_of_the_secrets_directories_wins(self, monkeypatch, clean):
        for name, port in {"secrets": "1", "vault": "2"}.items():
            (clean / name).mkdir()
            (clean / name / "port").write_text(port)
        (clean / "secrets" / "currency").write_text("USD")
        monkeypatch.setenv("SECRETS_DIR", "vault")

        assert (ShopSettings().port, ShopSettings().currency) == (2, "EUR")
        assert ShopSettings().origin("port") == Origin("PORT", "secrets (vault)")

    def test_a_field_that_nobody_set_has_an_origin_all_the_same(self):
        assert ShopSettings().origin("currency") == Origin("CURRENCY", "default")
        assert ShopSettings().origin("no_such_field") == Origin("NO_SUCH_FIELD", "default")

    def test_a_value_from_code_is_a_fields_name(self):
        assert ShopSettings(currency="USD").origin("currency") == Origin("currency", "code")

    def test_a_list_is_comma_separated(self, monkeypatch):
        monkeypatch.setenv("CARRIERS", " post, courier ,,drone")

        assert ShopSettings().carriers == ("post", "courier", "drone")
        assert ShopSettings(carriers="post").carriers == ("post",)
        assert ShopSettings(carriers=["post", "drone"]).carriers == ("post", "drone")


class TestProblems:
    def test_an_unknown_name_with_our_prefix_is_an_error_with_a_suggestion(self, monkeypatch):
        monkeypatch.setenv("SHOP_CURENCY", "USD")

        found = problems()["SHOP_CURENCY"]

        assert (found.fix, found.source) == ("Did you mean SHOP_CURRENCY?", "environment")

    def test_where_workers_meet_is_no_unknown_setting(self, monkeypatch):
        monkeypatch.setenv("MAINSPRING_RUN_DIRECTORY", "/run/shop")
        Settings()

    def test_an_unknown_name_with_our_prefix_that_resembles_none_is_to_be_removed(self, monkeypatch, clean):
        (clean / ".env").write_text("SHOP_ZZZ=1\n")
        monkeypatch.setenv("SHOP_QQQ", "1")

        found = problems()

        assert {key: p.source for key, p in found.items()} == {"SHOP_QQQ": "environment", "SHOP_ZZZ": ".env"}
        assert all(p.fix.startswith("Remove it, or add the field") for p in found.values())

    def test_the_file_of_the_environment_is_looked_through_too(self, clean):
        (clean / ".env.development").write_text("LOG_LEVELL=DEBUG\n")

        found = problems()["LOG_LEVELL"]

        assert (found.fix, found.source) == ("Did you mean LOG_LEVEL?", ".env.development")

    def test_what_else_lies_in_a_secrets_directory_is_none_of_our_business(self, clean):
        (clean / "secrets").mkdir()
        (clean / "secrets" / "shop_curency").write_text("USD")

        ShopSettings()

    def test_the_command_lines_own_variable_is_no_unknown_setting(self, monkeypatch):
        monkeypatch.setenv("MAINSPRING_APP", "shop.app:build")

        Settings()

    def test_a_near_miss_in_a_file_is_an_error_and_a_strangers_name_is_not(self, clean):
        (clean / ".env").write_text("DATABSE_URL=x\nCOMPOSE_PROJECT_NAME=shop\n")

        assert list(problems()) == ["DATABSE_URL"]

    def test_a_near_miss_in_the_environment_is_none_of_our_business(self, monkeypatch):
        monkeypatch.setenv("DATABSE_URL", "x")

        ShopSettings()

    def test_every_malformed_value_is_named_with_its_source(self, monkeypatch, clean):
        monkeypatch.setenv("PORT", "eighty")
        (clean / ".env").write_text("WORKERS=0\nSHOP_WORKERS=0\nLOG_LEVEL=loud\n")

        found = problems(currency=7)

        assert {key: p.source for key, p in found.items()} == {
            "PORT": "environment",
            "SHOP_WORKERS": ".env",
            "LOG_LEVEL": ".env",
            "currency": "code",
        }

    def test_what_is_not_json_is_named_alone_and_hides_nothing(self, monkeypatch):
        class Limited(ShopSettings):
            limits: dict[str, int] = Field(default_factory=dict)

        monkeypatch.setenv("SHOP_LIMITS", "{oops")
        monkeypatch.setenv("PORT", "eighty")
        for name, value in GOOD.items():
            monkeypatch.setenv(name.upper(), value)
        monkeypatch.setenv("DEBUG", "true")

        with pytest.raises(BootError) as refused:
            Limited()

        found = {problem.key: problem for problem in refused.value.problems}
        assert found.keys() == {"SHOP_LIMITS", "PORT", "DEBUG"}
        assert (found["SHOP_LIMITS"].source, found["SHOP_LIMITS"].fix) == (
            "environment",
            "Write SHOP_LIMITS as JSON.",
        )
        assert "oops" not in str(refused.value)

    def test_a_file_that_is_no_text_is_a_problem_and_not_a_crash(self, clean):
        (clean / ".env").write_bytes(b"SECRET_KEY=\xff\xfehunter2\n")

        found = problems()[".env"]

        assert found.message == "It cannot be read: it is not text in UTF-8."

    def test_a_secret_that_is_no_text_is_named_and_the_others_count(self, clean):
        (clean / "secrets").mkdir()
        (clean / "secrets" / "payment_key").write_bytes(b"\xff\xfe")
        (clean / "secrets" / "port").write_text("eighty")

        found = problems()

        assert {key: p.source for key, p in found.items()} == {
            "PAYMENT_KEY": "secrets (secrets)",
            "PORT": "secrets (secrets)",
        }

    def test_a_secrets_directory_that_is_named_has_to_be_there(self, monkeypatch, clean):
        (clean / "secrets").mkdir()
        monkeypatch.setenv("SECRETS_DIR", "vault")

        found = problems()["SECRETS_DIR"]

        assert found.message == "There is no directory vault."

    def test_a_required_setting_that_is_missing_says_what_to_set(self):
        class Regional(ShopSettings):
            region: str

        with pytest.raises(BootError) as refused:
            Regional()

        (found,) = refused.value.problems
        assert (found.key, found.fix, found.source) == ("REGION", "Set REGION.", "default")

    def test_a_value_that_only_the_classs_validator_understands_does_not_break_the_report(self, monkeypatch):
        class Numbered(ShopSettings):
            shelves: Annotated[tuple[int, ...], NoDecode] = ()

            @field_validator("shelves", mode="before")
            @classmethod
            def split(cls, value):
                return value.split("+") if isinstance(value, str) else value

        monkeypatch.setenv("SHELVES", "1+2")
        assert Numbered().shelves == (1, 2)

        with pytest.raises(BootError) as refused:
            Numbered(port="eighty", environment="production")

        assert {p.key for p in refused.value.problems} == {"port", "SECRET_KEY", "ALLOWED_HOSTS", "DATABASE_URL"}

    def test_an_argument_that_is_no_setting_is_named(self):
        (found,) = problems(colour="red").values()

        assert "Remove the argument" in found.fix

    def test_a_malformed_value_does_not_hide_what_production_refuses(self, monkeypatch):
        monkeypatch.setenv("PORT", "eighty")

        assert {"PORT", "SECRET_KEY", "ALLOWED_HOSTS", "DATABASE_URL"} == set(problems(environment="production"))

    @pytest.mark.parametrize(
        ("name", "malformed"),
        [
            ("WORKERS", "many"),
            ("DEBUG", "perhaps"),
            ("ENABLE_DOCS", "perhaps"),
            ("CORS_CREDENTIALS", "perhaps"),
            ("MAX_BODY_BYTES", "-1"),
            ("ERROR_FORMAT", "xml"),
        ],
    )
    def test_whichever_value_is_malformed_the_other_refusals_are_reported(self, monkeypatch, name, malformed):
        monkeypatch.setenv(f"SHOP_{name}", malformed)
        monkeypatch.setenv("TRUSTED_PROXIES", "*")

        found = set(problems(environment="production"))

        assert found == {f"SHOP_{name}", "TRUSTED_PROXIES", "SECRET_KEY", "ALLOWED_HOSTS", "DATABASE_URL"}

    def test_all_problems_of_all_kinds_stand_in_one_report_each_with_key_source_and_fix(self, monkeypatch, clean):
        (clean / ".env").write_text("ENVIRONMENT=production\nPORT=eighty\nDATABSE_URL=x\n")
        (clean / ".env.production").write_text("DEBUG=true\n")
        (clean / "secrets").mkdir()
        (clean / "secrets" / "secret_key").write_text("short")
        monkeypatch.setenv("SHOP_CURENCY", "USD")
        monkeypatch.setenv("SHOP_ALLOWED_HOSTS", "*")

        with pytest.raises(BootError) as refused:
            ShopSettings()

        report = str(refused.value)
        assert {(problem.key, problem.source) for problem in refused.value.problems} == {
            ("SHOP_CURENCY", "environment"),
            ("DATABSE_URL", ".env"),
            ("PORT", ".env"),
            ("DEBUG", ".env.production"),
            ("SECRET_KEY", "secrets (secrets)"),
            ("SHOP_ALLOWED_HOSTS", "environment"),
            ("DATABASE_URL", "default"),
        }
        assert report.startswith("The service does not start: 7 problems.\n\n  1. ")
        for problem in refused.value.problems:
            assert f"{problem.key}  [{problem.source}]\n     {problem.message}\n     Fix: {problem.fix}" in report

    def test_the_report_counts_numbers_and_tells_each_fix(self):
        report = str(
            BootError([Problem("PORT", "It is taken.", "Choose another.", ".env"), Problem("X", "No.", "Yes.")])
        )

        assert report == (
            "The service does not start: 2 problems.\n\n  1. PORT  [.env]\n     It is taken.\n     Fix: Choose another."
            "\n\n  2. X\n     No.\n     Fix: Yes."
        )

    def test_no_report_shows_a_secret(self, monkeypatch):
        monkeypatch.setenv("SECRET_KEY", "hunter2hunter2")
        monkeypatch.setenv("PORT", "s3cret-looking")

        with pytest.raises(BootError) as refused:
            ShopSettings(environment="production")

        assert "hunter2" not in str(refused.value)
        assert "s3cret-looking" not in str(refused.value)


def test_settings_are_frozen():
    settings = Settings()

    with pytest.raises(ValidationError, match="frozen"):
        settings.port = 1
    with pytest.raises(ValidationError, match="frozen"):
        del settings.port
    assert settings.port == 8000


def test_settings_are_read_once(monkeypatch):
    settings = Settings()
    monkeypatch.setenv("PORT", "1")

    assert (settings.port, settings.origin("port").source) == (8000, "default")


def test_no_secret_and_no_password_stands_in_what_is_printed():
    settings = ShopSettings(secret_key=GOOD_SECRET, payment_key="p4y", database_url="postgresql://shop:hunter2@db/shop")

    for text in (repr(settings), str(settings), str(settings.payment_key)):
        assert not [secret for secret in (GOOD_SECRET, "p4y", "hunter2") if secret in text]
    assert str(settings.database_url) == "postgresql://shop:hunter2@db/shop"
    assert isinstance(settings.database_url, str)
