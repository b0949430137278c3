"""Opaque secrets: shown once, stored as digests."""

import hashlib
import secrets

_BYTES = 32


def new_token() -> str:
    """An unguessable, URL-safe token: 256 random bits in 43 characters."""
    return secrets.token_urlsafe(_BYTES)


def digest_of(token: str) -> bytes:
    """What is stored in the token's place: SHA-256, 32 bytes.

    A slow hash is for secrets that people choose. A random token of 256 bits cannot be guessed, and a digest that is
    the same each time can be looked up by an index.
    """
    return hashlib.sha256(token.encode()).digest()
