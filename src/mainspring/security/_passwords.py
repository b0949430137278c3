"""Passwords, hashed with argon2id where they do not hold up the event loop."""

import os
from functools import cached_property

from anyio import CapacityLimiter, to_thread
from pwdlib import PasswordHash
from pwdlib.exceptions import UnknownHashError
from pwdlib.hashers.argon2 import Argon2Hasher

_MIB = 1024


class PasswordHasher:
    """Argon2id through pwdlib, each hash in a thread.

    The defaults are RFC 9106's second recommendation (section 4: three passes over 64 MiB, four lanes). Hashing takes
    tens of milliseconds of a core and its memory, so no more run at once than there are cores; the others wait.

    Args:
        time_cost: Passes.
        memory_mib: Memory per hash, in MiB. Tests hand in a small value; a service has no reason to.
        parallelism: Lanes.
    """

    def __init__(self, *, time_cost: int = 3, memory_mib: int = 64, parallelism: int = 4) -> None:
        argon2 = Argon2Hasher(time_cost=time_cost, memory_cost=memory_mib * _MIB, parallelism=parallelism)
        self._passwords = PasswordHash((argon2,))

    async def hash(self, password: str) -> str:
        """The hash to store, with its parameters and salt (PHC string format)."""
        return await to_thread.run_sync(self._passwords.hash, password, limiter=self._limiter)

    async def verify(self, password: str, stored: str | None) -> tuple[bool, str | None]:
        """Whether the password is the stored one, and a better hash to store if the stored one is dated.

        Args:
            password: What somebody typed.
            stored: The user's hash, or None where there is no such user: the check then takes as long as any other,
                so that its duration does not tell who has an account.
        """
        return await to_thread.run_sync(self._verify, password, stored, limiter=self._limiter)

    def _verify(self, password: str, stored: str | None) -> tuple[bool, str | None]:
        try:
            valid, better = self._passwords.verify_and_update(password, stored or self._decoy)
        except UnknownHashError:
            return False, None
        return valid and stored is not None, better if stored is not None else None

    @cached_property
    def _decoy(self) -> str:
        return self._passwords.hash("nobody has this password")

    @cached_property
    def _limiter(self) -> CapacityLimiter:
        return CapacityLimiter(os.process_cpu_count() or 1)
