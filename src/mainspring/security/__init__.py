"""Security's building blocks: passwords, tokens, who is acting."""

from ._passwords import PasswordHasher
from ._secrets import digest_of, new_token
from ._tokens import AccessClaims, AccessTokens

__all__ = ["AccessClaims", "AccessTokens", "PasswordHasher", "digest_of", "new_token"]
