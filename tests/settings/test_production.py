"""What staging and production refuse, and what waives it."""

import pytest

from mainspring.settings import (
    DEVELOPMENT_SECRET_KEY,
    BootError,
    Problem,
)
from tests.settings.shop import GOOD, GOOD_SECRET, ShopSettings, problems


class TestProduction:
    def test_a_sound_configuration_starts_in_production_and_staging(self):
        ShopSettings(**GOOD)
        ShopSettings(**GOOD | {"environment": "staging"})

    @pytest.mark.parametrize(
        ("changes", "key"),
        [
            ({"secret_key": "short"}, "secret_key"),
            ({"secret_key": "changeme-" + GOOD_SECRET}, "secret_key"),
            ({"secret_key": "a" * 40}, "secret_key"),
            ({"operations_token": "short"}, "operations_token"),
            ({"operations_token": "changeme-" + GOOD_SECRET}, "operations_token"),
            ({"operations_token": GOOD_SECRET[:31]}, "operations_token"),
            ({"operations_token": ""}, "operations_token"),
            ({"metrics_port": 8000}, "metrics_port"),
            ({"database_connections": 15, "workers": 4, "instances": 2}, "database_connections"),
            ({"debug": True}, "debug"),
            ({"enable_docs": True}, "enable_docs"),
            ({"allowed_hosts": "*"}, "allowed_hosts"),
            ({"trusted_proxies": "*"}, "trusted_proxies"),
            ({"database_url": "sqlite:///shop.db", "workers": 2}, "workers"),
            ({"allowed_origins": "*", "cors_credentials": True}, "allowed_origins"),
        ],
    )
    def test_what_is_unsafe_is_refused_with_a_fix(self, changes, key):
        found = problems(**GOOD | changes)

        assert list(found) == [key]
        assert found[key].fix

    @pytest.mark.parametrize(
        ("changes", "waiver"),
        [
            ({"enable_docs": True}, "docs"),
            ({"allowed_hosts": "*"}, "any-host"),
            ({"database_url": "sqlite:///shop.db", "workers": 2}, "sqlite-workers"),
        ],
    )
    def test_what_a_team_may_have_a_reason_for_can_be_waived_by_name(self, changes, waiver):
        ShopSettings(**GOOD | changes, allow_in_production=waiver)

    def test_nothing_set_is_refused_in_production_and_staging_and_nowhere_else(self):
        for environment in ("production", "staging"):
            found = problems(environment=environment)
            assert {key: p.source for key, p in found.items()} == dict.fromkeys(
                ("SECRET_KEY", "ALLOWED_HOSTS", "DATABASE_URL"), "default"
            )
        for environment in ("development", "test"):
            ShopSettings(environment=environment, debug=True, trusted_proxies="*", enable_docs=True)

    def test_a_waiver_waives_its_own_refusal_only(self):
        unsafe = {"enable_docs": True, "allowed_hosts": "*", "database_url": "sqlite:///shop.db", "workers": 2}
        keys = {"docs": "enable_docs", "any-host": "allowed_hosts", "sqlite-workers": "workers"}

        for waiver, key in keys.items():
            found = problems(**GOOD | unsafe, allow_in_production=waiver)
            assert set(found) == set(keys.values()) - {key}
        ShopSettings(**GOOD | unsafe, allow_in_production=",".join(keys))

    @pytest.mark.parametrize("changes", [{"debug": True}, {"trusted_proxies": "*"}, {"secret_key": "a" * 40}])
    def test_what_nobody_has_a_reason_for_cannot_be_waived(self, changes):
        (name,) = changes
        everything = f"docs,any-host,sqlite-workers,{name},{name.replace('_', '-')},*,all"

        assert list(problems(**GOOD | changes, allow_in_production=everything)) == [name]

    def test_the_secret_of_development_is_refused_when_it_is_spelled_out_too(self):
        assert "secret_key" in problems(**GOOD | {"secret_key": DEVELOPMENT_SECRET_KEY})

    @pytest.mark.parametrize("length", [31, 32])
    def test_a_secret_is_long_enough_from_32_characters(self, length):
        changes = GOOD | {"secret_key": GOOD_SECRET[:length]}

        if length < 32:
            assert "It has 31 characters" in problems(**changes)["secret_key"].message
        else:
            ShopSettings(**changes)

    def test_a_token_for_operators_is_not_asked_for_and_one_that_is_good_is_taken(self):
        ShopSettings(**GOOD | {"operations_token": GOOD_SECRET, "metrics_port": 9100})

    def test_where_no_strangers_are_any_token_for_operators_will_do(self):
        assert ShopSettings(operations_token="short").operations_token.get_secret_value() == "short"

    def test_a_placeholder_secret_cannot_be_waived(self):
        assert "secret_key" in problems(**GOOD | {"secret_key": "short"}, allow_in_production="secrets,secret-key,docs")

    def test_star_with_credentials_is_refused_everywhere(self):
        assert "allowed_origins" in problems(allowed_origins="*", cors_credentials=True)

    def test_one_process_on_a_named_sqlite_file_is_fine(self):
        ShopSettings(**GOOD | {"database_url": "sqlite:////var/lib/shop.db"})

    def test_a_service_adds_its_own_refusals(self):
        class Strict(ShopSettings):
            def refusals(self):
                yield from super().refusals()
                if self.is_production and self.payment_key is None:
                    yield Problem("PAYMENT_KEY", "Nobody could pay.", "Set it.", self.origin("payment_key").source)

        with pytest.raises(BootError, match="Nobody could pay"):
            Strict(**GOOD)
        Strict(**GOOD, payment_key="p4y")

    def test_docs_and_migrations_follow_the_environment_unless_said_otherwise(self):
        production, development = ShopSettings(**GOOD), ShopSettings()

        assert (production.docs_enabled, production.migrates_on_start) == (False, False)
        assert (development.docs_enabled, development.migrates_on_start) == (True, True)
        assert ShopSettings(**GOOD, migrate_on_start=True).migrates_on_start
        assert not ShopSettings(enable_docs=False).docs_enabled
