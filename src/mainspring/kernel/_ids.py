"""Identifiers that sort by the time they were made (UUID version 7, RFC 9562 section 5.7)."""

import secrets
import threading
import time
from uuid import UUID

_COUNTER_BITS = 42
_COUNTER_LIMIT = 1 << _COUNTER_BITS
# The counter starts in its lower half, so that a burst within one millisecond has room to count up.
_COUNTER_START_BITS = _COUNTER_BITS - 1


class _Generator:
    """Millisecond timestamp, then a counter (RFC 9562 section 6.2, method 1), then random bits.

    Within one process each id is greater than the one before, also within a millisecond and when the machine's
    clock steps back; over processes they sort to the millisecond.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._millisecond = 0
        self._counter = 0

    def __call__(self) -> UUID:
        with self._lock:
            now = time.time_ns() // 1_000_000
            if now > self._millisecond:
                self._millisecond = now
                self._counter = secrets.randbits(_COUNTER_START_BITS)
            else:
                self._counter += 1
                if self._counter >= _COUNTER_LIMIT:
                    self._millisecond += 1
                    self._counter = secrets.randbits(_COUNTER_START_BITS)
            millisecond, counter = self._millisecond, self._counter
        value = (millisecond & 0xFFFF_FFFF_FFFF) << 80
        value |= 0x7 << 76
        value |= (counter >> 30) << 64
        value |= 0b10 << 62
        value |= (counter & 0x3FFF_FFFF) << 32
        value |= secrets.randbits(32)
        return UUID(int=value)


new_id = _Generator()
"""Make a UUID version 7.

Rows keyed by it append to the end of their index instead of scattering over it, and creation order is visible in the
key. The trap: the key tells when a row was made; where that is a secret, use `uuid.uuid4`.
"""
