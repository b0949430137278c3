"""Settings can be looked at whether or not they are sound."""

import pytest
from pydantic import AnyUrl, SecretStr

from mainspring.settings import Settings, describe_settings, inspect_settings, masked


class ShopSettings(Settings):
    payment_key: SecretStr = SecretStr("p4y")
    """Opens the till.

    Keep it secret.
    """
    region: str


def test_sound_settings_are_listed_masked_with_their_sources(monkeypatch):
    monkeypatch.setenv("REGION", "eu")
    monkeypatch.setenv("DATABASE_URL", "postgresql://shop:hunter2@db/shop")

    report = inspect_settings(ShopSettings)

    shown = {line.name: (line.value, line.origin.source) for line in report.lines}
    assert report.problems == ()
    assert shown["payment_key"] == ("********", "default")
    assert shown["region"] == ("eu", "environment")
    assert shown["database_url"] == ("postgresql://shop:********@db/shop", "environment")


def test_broken_settings_are_listed_too_with_their_problems(monkeypatch):
    monkeypatch.setenv("PORT", "eighty")
    monkeypatch.setenv("PAYMENT_KEY", "hunter2")

    report = inspect_settings(ShopSettings)

    shown = {line.name: line.value for line in report.lines}
    assert {problem.key for problem in report.problems} == {"PORT", "REGION"}
    assert (shown["port"], shown["payment_key"], shown["region"]) == ("eighty", "********", "")


def test_the_text_under_a_field_is_its_meaning():
    described = {setting.name: setting for setting in describe_settings(ShopSettings)}

    assert described["payment_key"].meaning == "Opens the till. Keep it secret."
    assert described["payment_key"].default == ""
    assert described["region"].required
    assert described["host"].key == "MAINSPRING_HOST"
    assert described["cors_credentials"].default == "false"
    assert described["allowed_hosts"].default == "*"


def test_a_class_without_source_is_described_as_far_as_its_parents_are():
    made = type("Made", (ShopSettings,), {})

    assert [setting.meaning for setting in describe_settings(made) if setting.name == "payment_key"] == [
        "Opens the till. Keep it secret."
    ]


def test_every_setting_of_the_chassis_has_a_meaning():
    assert [setting.name for setting in describe_settings(Settings) if not setting.meaning] == []


def test_looking_never_raises_for_what_the_sources_hold(monkeypatch, clean):
    (clean / ".env").write_bytes(b"\xff\xfe\n")
    (clean / "secrets").mkdir()
    (clean / "secrets" / "payment_key").write_bytes(b"\xff")
    monkeypatch.setenv("ENVIRONMENT", "../production")
    monkeypatch.setenv("MAINSPRING_NONSENSE", "1")

    report = inspect_settings(ShopSettings)

    assert {line.name for line in report.lines} == set(ShopSettings.model_fields)
    assert {problem.key for problem in report.problems} == {
        ".env",
        "PAYMENT_KEY",
        "ENVIRONMENT",
        "REGION",
        "MAINSPRING_NONSENSE",
    }


def test_a_broken_configuration_shows_no_password_either(monkeypatch):
    monkeypatch.setenv("PORT", "eighty")
    monkeypatch.setenv("DATABASE_URL", "postgresql://shop:hunter2@db/shop")

    report = inspect_settings(ShopSettings)

    assert report.problems
    assert not [line for line in report.lines if "hunter2" in line.value]


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://:s3cret@cache:6379/0", "redis://:********@cache:6379/0"),
        ("postgresql://shop:s3/cr?e#t@db/shop", "postgresql://shop:********@db/shop"),
        ("postgresql://shop:s3@cret@db/shop?x=a@b", "postgresql://shop:********@db/shop?x=a@b"),
        ("postgresql://db/shop?user=me&password=s3cret&x=1", "postgresql://db/shop?user=me&password=********&x=1"),
        ("amqp://a:s3cret@one:1,amqp://b:t0p@two:2", "amqp://a:********@one:1,amqp://b:********@two:2"),
        ("https://example.com/a:b@c", "https://example.com/a:b@c"),
        ("postgresql://shop@db:5432/shop", "postgresql://shop@db:5432/shop"),
        ("sqlite:///data/shop.db", "sqlite:///data/shop.db"),
    ],
)
def test_masking_hides_the_password_of_a_url_whatever_it_is_made_of(url, shown):
    assert masked(url) == shown
    assert repr(ShopSettings(region="eu", database_url=url).database_url) == repr(shown)


def test_masking_hides_secrets_and_what_is_inside_other_values():
    assert masked(("a", SecretStr("b"))) == "a, ********"
    assert masked(SecretStr("")) == ""
    assert masked(AnyUrl("amqp://shop:s3cret@queue/v")) == "amqp://shop:********@queue/v"
    assert "s3cret" not in masked({"first": "amqp://shop:s3cret@queue/v", "second": SecretStr("s3cret")})
    assert (masked(None), masked(8000), masked(True)) == ("", "8000", "True")
