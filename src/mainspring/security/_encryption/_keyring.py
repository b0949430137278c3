"""Keys, and what is done with them: AES-256-GCM, a nonce per value, the key's name in front of it."""

import binascii
import hmac
import os
import re
import unicodedata
from base64 import b64decode, b64encode
from collections.abc import Mapping
from types import MappingProxyType
from typing import Protocol, Self

from sqlalchemy.exc import DontWrapMixin

KEY_BYTES = 32
"""Of AES-256."""
_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,7}")
_ID_BYTES = 8
_VERSION = b"\x01"
HEADER_BYTES = len(_VERSION) + _ID_BYTES
"""What stands in front of each value: the format's version and the key's name."""
_NONCE_BYTES = 12
_SHORTEST = HEADER_BYTES + _NONCE_BYTES + 16
_PURPOSE = b"mainspring encrypted 1\x00"
_INDEX_PURPOSE = b"mainspring blind index 1\x00"


class EncryptionFailed(DontWrapMixin, RuntimeError):
    """A value cannot be encrypted or read. Its text names the column and the key, never the value."""

    # SQLAlchemy would wrap any other error together with the parameters of the statement, which are not encrypted yet.


class KeyMissing(EncryptionFailed):
    """A value was encrypted with a key that the settings no longer have, or do not have yet."""


class Keyring:
    """Keys by name. The first encrypts, all of them decrypt.

    Args:
        keys: 32 bytes by name, the current one first. A name is up to 8 of `a-z 0-9 _ -`.
        index_key: For blind indexes; by default they have none, and a `BlindIndex` cannot be used.

    Raises:
        ValueError: There is no key, one is not of 32 bytes, or a name cannot be one.
    """

    def __init__(self, keys: Mapping[str, bytes], *, index_key: bytes = b"") -> None:
        for name, key in keys.items():
            if not _ID.fullmatch(name):
                raise ValueError(f"{name!r} cannot be a key's name: up to 8 of a-z, 0-9, _ and -.")
            if len(key) != KEY_BYTES:
                raise ValueError(f"The key {name} has {len(key)} bytes instead of {KEY_BYTES}.")
        if not keys:
            raise ValueError("There is no key.")
        self._ciphers = MappingProxyType({name: _aes(key) for name, key in keys.items()})
        self._index_key = hmac.digest(index_key, _INDEX_PURPOSE, "sha256") if index_key else b""
        self.current = next(iter(keys))
        self.header = _VERSION + self.current.encode().ljust(_ID_BYTES, b"\x00")
        """What a value begins with that was encrypted with the current key."""

    @classmethod
    def parsed(cls, keys: str, *, index_key: bytes = b"") -> Self:
        """From `id:base64,id:base64`, as settings have them.

        Raises:
            ValueError: As the class; or it is not of this form. The text names no part of a key.
        """
        found: dict[str, bytes] = {}
        for number, entry in enumerate((part.strip() for part in keys.split(",") if part.strip()), 1):
            name, colon, encoded = entry.partition(":")
            if not colon:
                raise ValueError(f"Key {number} is not of the form id:base64.")
            if name in found:
                raise ValueError(f"Two keys are called {name!r}.")
            try:
                found[name] = b64decode(encoded, validate=True)
            except (binascii.Error, ValueError):
                raise ValueError(f"Key {number} is no base64.") from None
        return cls(found, index_key=index_key)

    def encrypt(self, plain: bytes, *, context: str) -> bytes:
        """A value for one column; another each time, so that equal values do not show."""
        nonce = os.urandom(_NONCE_BYTES)
        return self.header + nonce + self._ciphers[self.current].encrypt(nonce, plain, _bound(self.header, context))

    def decrypt(self, stored: bytes, *, context: str) -> bytes:
        """The value as it was.

        Raises:
            KeyMissing: The key is not here.
            EncryptionFailed: It was changed, belongs to another column, or was never encrypted.
        """
        name = key_of(stored)
        if name is None:
            raise EncryptionFailed(
                f"A value of {context} is not encrypted, or in a form that this version cannot read."
            )
        cipher = self._ciphers.get(name)
        if cipher is None:
            raise KeyMissing(
                f"A value of {context} was encrypted with the key {name!r}, which is not in ENCRYPTION_KEYS. Put it "
                "back, behind the current one."
            )
        header, nonce = stored[:HEADER_BYTES], stored[HEADER_BYTES : HEADER_BYTES + _NONCE_BYTES]
        try:
            plain: bytes = cipher.decrypt(nonce, stored[HEADER_BYTES + _NONCE_BYTES :], _bound(header, context))
        except _invalid_tag():
            raise EncryptionFailed(
                f"A value of {context} was changed, or comes from another column; it cannot be read."
            ) from None
        return plain

    def renewed(self, stored: bytes, *, context: str) -> bytes:
        """The same value under the current key."""
        return self.encrypt(self.decrypt(stored, context=context), context=context)

    def index(self, text: str, *, context: str) -> bytes:
        """A digest by which equal texts can be found, and nothing else without the key. Case, width and surrounding
        spaces make no difference.

        Raises:
            EncryptionFailed: There is no index key.
        """
        if not self._index_key:
            raise EncryptionFailed(f"The blind index {context} needs BLIND_INDEX_KEY.")
        plain = unicodedata.normalize("NFKC", text).strip().casefold()
        return hmac.digest(self._index_key, f"{context}\x00{plain}".encode(), "sha256")


def new_key(name: str) -> str:
    """A new key as it stands in ENCRYPTION_KEYS."""
    return f"{name}:{b64encode(os.urandom(KEY_BYTES)).decode()}"


def key_of(stored: bytes) -> str | None:
    """The name of the key with which a value was encrypted; None if it was not."""
    if len(stored) < _SHORTEST or not stored.startswith(_VERSION):
        return None
    name = stored[len(_VERSION) : HEADER_BYTES].rstrip(b"\x00").decode("ascii", "replace")
    return name if _ID.fullmatch(name) else None


def _bound(header: bytes, context: str) -> bytes:
    return _PURPOSE + header + context.encode()


def _aes(key: bytes) -> "_Cipher":
    try:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 -- an extra
    except ModuleNotFoundError:
        hint = "Encrypted columns need cryptography. Install it: uv add 'mainspring[encryption]'."
        raise ModuleNotFoundError(hint, name="cryptography") from None
    return AESGCM(key)


def _invalid_tag() -> type[Exception]:
    from cryptography.exceptions import InvalidTag  # noqa: PLC0415 -- as above

    return InvalidTag


class _Cipher(Protocol):
    def encrypt(self, nonce: bytes, data: bytes, associated_data: bytes, /) -> bytes: ...

    def decrypt(self, nonce: bytes, data: bytes, associated_data: bytes, /) -> bytes: ...
