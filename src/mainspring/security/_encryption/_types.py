"""Columns whose values only the service can read, as types."""

from collections.abc import Callable
from typing import Any, ClassVar, override
from weakref import WeakKeyDictionary

import orjson
from sqlalchemy import ColumnElement, Dialect, LargeBinary, TypeDecorator
from sqlalchemy.sql import operators
from sqlalchemy.sql.operators import OperatorType
from sqlalchemy.types import TypeEngine

from ._keyring import EncryptionFailed, Keyring

# By dialect, of which each engine has its own: keys belong to a database and not to the process.
_keyrings: WeakKeyDictionary[Dialect, Keyring] = WeakKeyDictionary()


def give_keys(dialect: Dialect, keyring: Keyring) -> None:
    """Let the statements of an engine's dialect encrypt and decrypt."""
    _keyrings[dialect] = keyring


def _keys(dialect: Dialect, context: str) -> Keyring:
    keyring = _keyrings.get(dialect)
    if keyring is None:
        raise EncryptionFailed(
            f"{context} is encrypted, and this database has no keys. Add encryption_module(settings)."
        )
    return keyring


def _unwritable(context: str) -> Callable[[Any], str]:
    # Where values are written into SQL, for a log say, this one is not; and without this SQLAlchemy's error would show it.
    return lambda _: f"<{context}>"


class _Comparator(TypeEngine.Comparator[Any]):
    # Two encryptions of one value differ, so that a comparison would quietly find nothing, and an order mean nothing.
    @override
    def operate(self, op: OperatorType, *other: Any, **options: Any) -> ColumnElement[Any]:
        missing = op in {operators.is_, operators.is_not} or (op in {operators.eq, operators.ne} and other == (None,))
        if not missing:
            raise TypeError(
                f"{self.expr} is encrypted: nothing can be compared or sorted by it. Add a BlindIndex column."
            )
        return super().operate(op, *other, **options)


class Encrypted[T](TypeDecorator[T]):
    """The part that all have in common.

    Args:
        context: `table.column`, by which a value is bound to its column: moved to another, it cannot be read. It is
            written down, and not taken from the table, so that the column can be renamed: it stays what it was.
    """

    impl = LargeBinary
    cache_ok = True
    confidential: ClassVar[bool] = True
    comparator_factory = _Comparator

    def __init__(self, context: str) -> None:
        super().__init__()
        self.context = context

    def _dump(self, value: T) -> bytes:
        raise NotImplementedError

    def _load(self, plain: bytes) -> T:
        raise NotImplementedError

    @override
    def process_bind_param(self, value: T | None, dialect: Dialect) -> bytes | None:
        if value is None:
            return None
        return _keys(dialect, self.context).encrypt(self._dump(value), context=self.context)

    @override
    def process_result_value(self, value: bytes | None, dialect: Dialect) -> T | None:
        if value is None:
            return None
        return self._load(_keys(dialect, self.context).decrypt(bytes(value), context=self.context))

    @override
    def literal_processor(self, dialect: Dialect) -> Callable[[Any], str]:
        return _unwritable(self.context)


class EncryptedText(Encrypted[str]):
    """A text that only the service can read: `mapped_column(EncryptedText("customer.iban"))`.

    Filters, sorts, search and logs leave it out, and comparing it is an error; see `BlindIndex`. What can be seen without
    the key is its length, and which key it is. Not bound to its row: see the decision on column encryption.
    """

    cache_ok = True

    @property
    @override
    def python_type(self) -> type[str]:
        """What values are in Python."""
        return str

    @override
    def _dump(self, value: str) -> bytes:
        return value.encode()

    @override
    def _load(self, plain: bytes) -> str:
        return plain.decode()


class EncryptedBytes(Encrypted[bytes]):
    """Bytes that only the service can read; as `EncryptedText`."""

    cache_ok = True

    @property
    @override
    def python_type(self) -> type[bytes]:
        """What values are in Python."""
        return bytes

    @override
    def _dump(self, value: bytes) -> bytes:
        return value

    @override
    def _load(self, plain: bytes) -> bytes:
        return plain


class EncryptedJson(Encrypted[Any]):
    """JSON that only the service can read; as `EncryptedText`. Like every JSON column, it takes a new object to change
    it: what is changed inside the old one is not stored.
    """

    cache_ok = True

    @property
    @override
    def python_type(self) -> type[Any]:
        """What values are in Python."""
        return object

    @override
    def _dump(self, value: Any) -> bytes:
        return orjson.dumps(value)

    @override
    def _load(self, plain: bytes) -> Any:
        return orjson.loads(plain)


class BlindIndex(TypeDecorator[str | bytes]):
    """A column beside an encrypted one, by which equal texts are found; it holds a keyed digest of the text.

        email: Mapped[str] = mapped_column(EncryptedText("customer.email"))
        email_index: Mapped[str] = mapped_column(BlindIndex("customer.email"), index=True)

        customer = Customer(email=given, email_index=given)
        found = await store.first(Customer.email_index == given)

    Case, width and surrounding spaces make no difference. The traps: rows of one value can be told to be of one value,
    and its key (`BLIND_INDEX_KEY`) is not rotated: with another one every row has to be written anew.

    Args:
        context: `table.column` of the encrypted one.
    """

    impl = LargeBinary(32)
    cache_ok = True
    confidential: ClassVar[bool] = True

    def __init__(self, context: str) -> None:
        super().__init__()
        self.context = context

    @property
    @override
    def python_type(self) -> type[bytes]:
        """What values are once they are stored."""
        return bytes

    @override
    def process_bind_param(self, value: str | bytes | None, dialect: Dialect) -> bytes | None:
        # Read back, it is the digest.
        if value is None or isinstance(value, bytes):
            return value
        return _keys(dialect, self.context).index(value, context=self.context)

    @override
    def literal_processor(self, dialect: Dialect) -> Callable[[Any], str]:
        return _unwritable(self.context)

    @override
    def coerce_compared_value(self, op: OperatorType | None, value: Any) -> "BlindIndex":
        return self
