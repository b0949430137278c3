"""Keys, and the form of an encrypted value."""

from base64 import b64encode

import pytest

from mainspring.security import EncryptionFailed, EncryptionSettings, KeyMissing, Keyring, new_key
from mainspring.settings import BootError
from tests.security.safe import NEW, OLD, keyring

KEY = f"a:{b64encode(b'x' * 32).decode()}"
SECRET = b"DE02 1203 0000 0000 2020 51"


class TestValues:
    def test_what_was_encrypted_is_read_again_and_does_not_show(self):
        keys = keyring(OLD)
        stored = keys.encrypt(SECRET, context="a.b")
        assert keys.decrypt(stored, context="a.b") == SECRET
        assert SECRET not in stored
        assert stored.startswith(b"\x01old\x00\x00\x00\x00\x00")

    def test_equal_values_differ(self):
        keys = keyring(OLD)
        assert len({keys.encrypt(SECRET, context="a.b") for _ in range(100)}) == 100

    @pytest.mark.parametrize("position", [9, 20, 21, -1])
    def test_one_changed_bit_is_found(self, position):
        keys = keyring(OLD)
        stored = bytearray(keys.encrypt(SECRET, context="a.b"))
        stored[position] ^= 1
        with pytest.raises(EncryptionFailed, match=r"A value of a\.b was changed, or comes from another column"):
            keys.decrypt(bytes(stored), context="a.b")

    def test_a_value_of_another_column_is_found(self):
        keys = keyring(OLD)
        with pytest.raises(EncryptionFailed, match="comes from another column"):
            keys.decrypt(keys.encrypt(SECRET, context="a.c"), context="a.b")

    def test_a_value_cannot_claim_another_key(self):
        same = {"old": OLD["old"], "new": OLD["old"]}
        keys = keyring(same)
        stored = keys.encrypt(SECRET, context="a.b")
        forged = stored.replace(b"old", b"new", 1)
        with pytest.raises(EncryptionFailed):
            keys.decrypt(forged, context="a.b")

    @pytest.mark.parametrize(
        "stored", [b"", b"plain", b"\x01old", SECRET * 3, b"\x02" + b"x" * 60, b"\x01" + b"\xff" * 60]
    )
    def test_what_was_never_encrypted_is_refused_and_not_shown(self, stored):
        with pytest.raises(EncryptionFailed, match=r"A value of a\.b is not encrypted") as caught:
            keyring(OLD).decrypt(stored, context="a.b")
        assert "DE02" not in str(caught.value)

    def test_the_first_key_encrypts_and_all_of_them_decrypt(self):
        stored = keyring(OLD).encrypt(SECRET, context="a.b")
        both = keyring(NEW, OLD)
        assert both.decrypt(stored, context="a.b") == SECRET
        assert both.current == "new"
        assert both.encrypt(SECRET, context="a.b").startswith(both.header)
        assert keyring(NEW).decrypt(both.renewed(stored, context="a.b"), context="a.b") == SECRET

    def test_a_key_that_is_missing_is_named(self):
        stored = keyring(OLD).encrypt(SECRET, context="a.b")
        with pytest.raises(KeyMissing, match="encrypted with the key 'old', which is not in ENCRYPTION_KEYS"):
            keyring(NEW).decrypt(stored, context="a.b")


class TestIndex:
    def test_case_width_and_spaces_make_no_difference(self):
        keys = keyring(OLD)
        same = {keys.index(text, context="a.b") for text in ("Ada@x.de", " ada@x.de ", "\uff21DA@X.DE")}
        assert len(same) == 1
        assert keys.index("bob@x.de", context="a.b") not in same
        assert keys.index("ada@x.de", context="a.c") not in same

    def test_it_does_not_depend_on_the_keys_that_rotate(self):
        assert keyring(OLD).index("x", context="a.b") == keyring(NEW).index("x", context="a.b")

    def test_without_a_key_of_its_own_there_is_none(self):
        with pytest.raises(EncryptionFailed, match=r"The blind index a\.b needs BLIND_INDEX_KEY"):
            Keyring(OLD).index("x", context="a.b")


class TestForm:
    def test_a_new_key_can_be_read(self):
        keys = Keyring.parsed(f"{new_key('2026-11')}, {new_key('2025-11')}")
        assert keys.current == "2026-11"
        assert new_key("a") != new_key("a")

    @pytest.mark.parametrize(
        ("text", "says"),
        [
            ("", "There is no key"),
            ("hunter2hunter2", "Key 1 is not of the form id:base64"),
            ("a:hunter2?", "Key 1 is no base64"),
            ("a:aHVudGVyMg==", "The key a has 7 bytes instead of 32"),
            ("TOO LONG A NAME:aHVudGVyMg==", "cannot be a key's name"),
            (f"{KEY},{KEY}", "Two keys are called 'a'"),
        ],
    )
    def test_another_is_refused_without_showing_it(self, text, says):
        with pytest.raises(ValueError, match=says) as caught:
            Keyring.parsed(text)
        assert "hunter2" not in str(caught.value)
        assert "aHVudGVyMg" not in str(caught.value)


PRODUCTION = {
    "environment": "production",
    "secret_key": "k3Jd8sLq0wZx7vBn2mTy6uRe1pAo9iCf-4hG",
    "allowed_hosts": ("x.example",),
    "database_url": "postgresql://a:b@db/x",
}


class TestSettings:
    def refusals(self, **values):
        with pytest.raises(BootError) as caught:
            EncryptionSettings(**{**PRODUCTION, **values})
        return str(caught.value)

    def test_development_has_keys(self):
        keys = EncryptionSettings(environment="development").keyring
        assert keys.decrypt(keys.encrypt(SECRET, context="a.b"), context="a.b") == SECRET

    def test_production_wants_its_own(self):
        said = self.refusals()
        for part in ("ENCRYPTION_KEYS", "BLIND_INDEX_KEY", "the default is public"):
            assert part in said
        public = EncryptionSettings(environment="test").encryption_keys.get_secret_value()
        said = self.refusals(encryption_keys=f"{new_key('a')},{public}", blind_index_key="short")
        assert "The key of development is in it" in said
        assert "It has 5 characters of at least 32" in said

    def test_production_takes_them(self):
        settings = EncryptionSettings(
            **PRODUCTION, encryption_keys=new_key("2026"), blind_index_key="x7vBn2mTy6uRe1pAo9iCf-k3Jd8sLq0wZ"
        )
        assert settings.keyring.current == "2026"

    def test_a_short_key_is_refused_everywhere_and_not_shown(self):
        with pytest.raises(BootError) as caught:
            EncryptionSettings(environment="test", encryption_keys="a:aHVudGVyMg==")
        assert "The key a has 7 bytes instead of 32" in str(caught.value)
        assert "aHVudGVyMg" not in str(caught.value)
