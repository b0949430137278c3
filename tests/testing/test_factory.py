"""How the plugin finds what builds the service, and the class of its settings."""

import sys
from typing import Any

import pytest

from mainspring.settings import Settings
from mainspring.testing._factory import configured_factory, settings_class


class ShopSettings(Settings):
    currency: str = "EUR"


def test_the_factory_is_the_one_that_pyproject_names(tmp_path, monkeypatch):
    (tmp_path / "pyproject.toml").write_text('[tool.mainspring]\napp = "shop_for_factory:build"\n')
    (tmp_path / "shop_for_factory.py").write_text("def build():\n    return 'the shop'\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert configured_factory(tmp_path)() == "the shop"
    del sys.modules["shop_for_factory"]


@pytest.mark.parametrize(
    ("project", "complaint"),
    [
        (None, "No service to test"),
        ("", "No service to test"),
        ('[tool.mainspring]\napp = "nowhere.app:build"', "nowhere"),
        ('[tool.mainspring]\napp = "json:build"', "has no attribute 'build'"),
        ('[tool.mainspring]\napp = ":build"', "cannot be loaded"),
    ],
)
def test_a_name_that_leads_nowhere_says_what_to_write(project, complaint, tmp_path):
    if project is not None:
        (tmp_path / "pyproject.toml").write_text(project)
    with pytest.raises(LookupError, match=complaint) as caught:
        configured_factory(tmp_path)
    assert 'app = "shop.app:build"' in str(caught.value)
    assert "`build_app`" in str(caught.value)


def test_the_settings_are_of_the_class_that_the_factory_declares():
    def optional(settings: ShopSettings | None = None, **overrides: Any) -> None: ...
    def required(settings: ShopSettings) -> None: ...
    def quoted(settings: "Settings") -> None: ...
    def undeclared(**overrides: Any) -> None: ...

    assert settings_class(optional) is ShopSettings
    assert settings_class(required) is ShopSettings
    assert settings_class(quoted) is Settings
    assert settings_class(undeclared) is Settings
