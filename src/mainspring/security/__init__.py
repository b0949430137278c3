"""Security's building blocks: passwords, tokens, who is acting, columns that only the service can read."""

from ._encryption import (
    BlindIndex,
    EncryptedBytes,
    EncryptedJson,
    EncryptedText,
    EncryptionFailed,
    EncryptionSettings,
    KeyMissing,
    Keyring,
    KeyUse,
    RotationProgress,
    encrypt_with,
    encrypted_columns,
    encryption_module,
    key_use,
    new_key,
    rotate_encrypted_columns,
)
from ._passwords import PasswordHasher
from ._secrets import digest_of, new_token
from ._tokens import AccessClaims, AccessTokens

__all__ = [
    "AccessClaims",
    "AccessTokens",
    "BlindIndex",
    "EncryptedBytes",
    "EncryptedJson",
    "EncryptedText",
    "EncryptionFailed",
    "EncryptionSettings",
    "KeyMissing",
    "KeyUse",
    "Keyring",
    "PasswordHasher",
    "RotationProgress",
    "digest_of",
    "encrypt_with",
    "encrypted_columns",
    "encryption_module",
    "key_use",
    "new_key",
    "new_token",
    "rotate_encrypted_columns",
]
