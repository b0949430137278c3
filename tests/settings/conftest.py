"""An empty folder and an environment without any of our settings."""

import pytest

from mainspring.settings import Settings


@pytest.fixture(autouse=True)
def clean(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        for prefix in ("", "MAINSPRING_", "SHOP_"):
            monkeypatch.delenv(f"{prefix}{name}".upper(), raising=False)
    monkeypatch.delenv("SECRETS_DIR", raising=False)
    return tmp_path
