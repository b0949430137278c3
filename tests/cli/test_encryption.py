"""`encryption`: keys are made, counted and rotated, on a service of its own."""

import json
import sqlite3
from base64 import b64encode

import pytest

from mainspring.kernel import new_id
from mainspring.security import Keyring

OLD, NEW = (f"{name}:{b64encode(name.encode() * 16).decode()}" for name in ("k1", "k2"))
SETTINGS = """
    from mainspring.security import EncryptionSettings

    class Settings(EncryptionSettings):
        pass
"""
MODELS = """
    from sqlalchemy.orm import Mapped, mapped_column
    from mainspring.data import Base, Identified
    from mainspring.security import BlindIndex, EncryptedText

    class Customer(Identified, Base):
        __tablename__ = "customer"
        iban: Mapped[str | None] = mapped_column(EncryptedText("customer.iban"))
        iban_index: Mapped[str | None] = mapped_column(BlindIndex("customer.iban"), index=True)
"""
APP = """
    from mainspring.app import create_app
    from mainspring.kernel import Migrations, Module
    from mainspring.security import encryption_module
    from shop import models
    from shop.settings import Settings

    customers = Module(name="customers", migrations=Migrations(package="shop.migrations", models="shop"))

    def build():
        settings = Settings()
        return create_app("shop", settings=settings, modules=[encryption_module(settings), customers])
"""
SQLITE = "sqlite:///shop.db"


@pytest.fixture
def shop(project):
    project.write("src/shop/settings.py", SETTINGS)
    project.write("src/shop/models.py", MODELS)
    project.write("src/shop/app.py", APP)
    project.write("src/shop/migrations/__init__.py", "")
    return project


def store(project, keys: str, count: int) -> None:
    ring = Keyring.parsed(keys)
    connection = sqlite3.connect(project.folder / "shop.db")
    for number in range(count):
        value = ring.encrypt(f"iban {number}".encode(), context="customer.iban")
        connection.execute("INSERT INTO customer (id, iban) VALUES (?, ?)", (new_id().hex, value))
    connection.commit()
    connection.close()


def test_a_key_is_made_in_the_form_that_settings_take(cli):
    made = cli("encryption", "key", "2026-11")
    assert made.code == 0
    assert Keyring.parsed(made.out.strip()).current == "2026-11"


def test_a_key_cannot_be_called_anything(cli):
    made = cli("encryption", "key", "My Key")
    assert (made.code, made.out) == (2, "")
    assert "cannot be a key's name" in made.err


def test_a_service_without_encrypted_columns_says_so(cli):
    ended = cli("encryption", "status")
    assert ended.code == 2
    assert "its settings are no EncryptionSettings" in ended.err


def test_from_the_first_revision_to_a_rotation(shop):
    with_old = {"DATABASE_URL": SQLITE, "ENCRYPTION_KEYS": OLD}
    wrote, upgraded, checked, empty = shop.run_each(
        "db revision -m customers", "db upgrade", "db check --strict", "encryption status", **with_old
    )
    (revision,) = (shop.folder / "src/shop/migrations").glob("customers_*.py")
    assert (wrote.code, upgraded.code, empty.out) == (0, 0, "No value is encrypted.\n"), wrote.err + upgraded.err
    assert "sa.LargeBinary()" in revision.read_text()
    assert "mainspring.security" not in revision.read_text()
    assert checked.code == 0, checked.out + checked.err

    store(shop, OLD, 5)
    both = {"DATABASE_URL": SQLITE, "ENCRYPTION_KEYS": f"{NEW},{OLD}"}
    before, rotated, after, again = shop.run_each(
        "encryption status --json", "encryption rotate --batch 2", "encryption status", "encryption rotate", **both
    )
    assert json.loads(before.out) == [{"column": "customer.iban", "key": "k1", "values": 5, "current": False}]
    assert (rotated.code, rotated.out.splitlines()[-1]) == (0, "5 values have the key k2 now.")
    assert rotated.out.count("customer: ") == 3
    assert "k2" in after.out
    assert "k1" not in after.out
    assert again.out == "0 values have the key k2 now.\n"


def test_a_value_of_a_key_that_is_not_there_is_named(shop):
    connection = sqlite3.connect(shop.folder / "shop.db")
    connection.execute("CREATE TABLE customer (id CHAR(32) PRIMARY KEY, iban BLOB, iban_index BLOB)")
    connection.close()
    store(shop, OLD, 1)
    (ended,) = shop.run_each("encryption rotate", DATABASE_URL=SQLITE, ENCRYPTION_KEYS=NEW)
    assert ended.code == 1
    assert "encrypted with the key 'k1', which is not in ENCRYPTION_KEYS" in ended.err


def test_production_does_not_start_with_the_public_key(shop):
    (ended,) = shop.run_each("config check --environment production")
    assert ended.code == 78
    assert "ENCRYPTION_KEYS" in ended.err
    assert "mainspring encryption key ID" in ended.err
