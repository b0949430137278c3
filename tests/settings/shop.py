"""The settings of a shop, and values that production takes."""

import pytest
from pydantic import SecretStr
from pydantic_settings import SettingsConfigDict

from mainspring.settings import BootError, CommaSeparated, Settings

GOOD_SECRET = "q8s7dJ2kLp0VbX4nT6yR1wZ3mC5hF9aEuGiKoNqS"
GOOD = {
    "environment": "production",
    "secret_key": GOOD_SECRET,
    "allowed_hosts": "shop.example.com",
    "database_url": "postgresql://shop@db/shop",
}


class ShopSettings(Settings):
    model_config = SettingsConfigDict(env_prefix="SHOP_")

    currency: str = "EUR"
    """Of every price."""
    carriers: CommaSeparated = ()
    payment_key: SecretStr | None = None


def problems(**environment):
    with pytest.raises(BootError) as refused:
        ShopSettings(**environment)
    return {problem.key: problem for problem in refused.value.problems}
