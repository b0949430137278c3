"""Cursors: where in a list a page ends, signed, so that a client can only hand back what it was given."""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import orjson

from mainspring.errors import InvalidCursor

FOREIGN = "The cursor does not belong to this list with this order and these filters. Begin again without one."

_MAC_BYTES = 16
_PURPOSE = b"mainspring cursor 2"


@dataclass(frozen=True, slots=True)
class Position:
    """Between which rows a page begins.

    Attributes:
        values: Of the sort columns and the key, of the row at the edge.
        backwards: Whether the page lies before the row.
        inclusive: Whether the row itself is on it.
        owner: To whose rows it belongs, for a store that has only somebody's.
    """

    values: Sequence[Any]
    backwards: bool = False
    inclusive: bool = False
    owner: str = ""


class CursorCodec:
    """Writes positions as cursors and reads them back.

    A cursor is bound to what it belongs to, the list with its order and filters: with others it would point at a place
    that does not exist there. It is signed and not encrypted: it holds values that its reader was shown.

    Args:
        secret: The service's secret key; the key for cursors is derived from it.
    """

    def __init__(self, secret: str) -> None:
        self._key = hmac.digest(secret.encode(), _PURPOSE, "sha256")

    def write(self, position: Position, *, belongs_to: str) -> str:
        """A cursor for a position."""
        content = orjson.dumps([position.backwards, position.inclusive, position.owner, *position.values], default=str)
        return urlsafe_b64encode(self._mac(content, belongs_to) + content).rstrip(b"=").decode()

    def read(self, cursor: str, *, belongs_to: str) -> Position:
        """The position of a cursor; its values are JSON's, in the order in which they were written.

        Raises:
            InvalidCursor: It was not made by this service, or for another list, order or filter.
        """
        try:
            raw = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        except ValueError as error:
            raise InvalidCursor(FOREIGN) from error
        mac, content = raw[:_MAC_BYTES], raw[_MAC_BYTES:]
        if not hmac.compare_digest(mac, self._mac(content, belongs_to)):
            raise InvalidCursor(FOREIGN)
        backwards, inclusive, owner, *values = orjson.loads(content)
        return Position(values, backwards, inclusive, owner)

    def _mac(self, content: bytes, belongs_to: str) -> bytes:
        bound = sha256(belongs_to.encode()).digest() + content
        return hmac.digest(self._key, bound, "sha256")[:_MAC_BYTES]
