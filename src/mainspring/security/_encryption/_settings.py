"""Settings of encrypted columns."""

from base64 import b64encode
from collections.abc import Iterator
from typing import override

from pydantic import SecretStr

from mainspring.settings import Problem, Settings

from ._keyring import Keyring

_PUBLIC = f"dev:{b64encode(b'development-only-key-of-32-bytes').decode()}"
_PUBLIC_INDEX = "development-only-index-key-refused-in-production"
_SHORTEST = 32


class EncryptionSettings(Settings):
    """The settings section of encrypted columns."""

    encryption_keys: SecretStr = SecretStr(_PUBLIC)
    """Keys as `id:base64`, separated by commas: the first encrypts, all of them decrypt. `mainspring encryption key`
    makes one. Refused in staging and production until it is set."""
    blind_index_key: SecretStr = SecretStr(_PUBLIC_INDEX)
    """What blind indexes are made with. At least 32 characters; `mainspring config secret` makes one. It cannot be
    changed without writing every index anew."""

    @property
    def keyring(self) -> Keyring:
        """The keys, parsed."""
        index = self.blind_index_key.get_secret_value().encode()
        return Keyring.parsed(self.encryption_keys.get_secret_value(), index_key=index)

    @override
    def refusals(self) -> Iterator[Problem]:
        """Also refuses keys that are none, and in production the public ones."""
        yield from super().refusals()
        make = "`mainspring encryption key ID` prints one."
        if self.is_production and self.origin("encryption_keys").source == "default":
            yield self._problem("encryption_keys", "It is not set; the default is public.", f"Set it to a key: {make}")
        else:
            try:
                _ = self.keyring
            except ValueError as error:
                yield self._problem("encryption_keys", str(error), f"Write id:base64,id:base64; {make}")
            if self.is_production and _PUBLIC.partition(":")[2] in self.encryption_keys.get_secret_value():
                yield self._problem(
                    "encryption_keys", "The key of development is in it, which is public.", f"Make another: {make}"
                )
        if self.is_production:
            yield from self._index_refusals()

    def _index_refusals(self) -> Iterator[Problem]:
        key = self.blind_index_key.get_secret_value()
        fix = "Set BLIND_INDEX_KEY to a random value: `mainspring config secret` prints one."
        if key == _PUBLIC_INDEX:
            yield self._problem("blind_index_key", "It is not set; the default is public.", fix)
        elif len(key) < _SHORTEST:
            yield self._problem("blind_index_key", f"It has {len(key)} characters of at least {_SHORTEST}.", fix)

    def _problem(self, name: str, what: str, fix: str) -> Problem:
        origin = self.origin(name)
        return Problem(origin.key, what, fix, origin.source)
