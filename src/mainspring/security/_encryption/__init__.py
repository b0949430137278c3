"""Columns that only the service can read: keys, types, rotation."""

from ._keyring import EncryptionFailed, KeyMissing, Keyring, new_key
from ._module import encrypt_with, encryption_module
from ._rotation import KeyUse, RotationProgress, encrypted_columns, key_use, rotate_encrypted_columns
from ._settings import EncryptionSettings
from ._types import BlindIndex, EncryptedBytes, EncryptedJson, EncryptedText

__all__ = [
    "BlindIndex",
    "EncryptedBytes",
    "EncryptedJson",
    "EncryptedText",
    "EncryptionFailed",
    "EncryptionSettings",
    "KeyMissing",
    "KeyUse",
    "Keyring",
    "RotationProgress",
    "encrypt_with",
    "encrypted_columns",
    "encryption_module",
    "key_use",
    "new_key",
    "rotate_encrypted_columns",
]
