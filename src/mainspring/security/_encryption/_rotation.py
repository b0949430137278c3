"""Moves stored values to the current key, while others read and write them."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    LargeBinary,
    MetaData,
    Row,
    Select,
    Table,
    and_,
    func,
    literal,
    or_,
    select,
    type_coerce,
    update,
)

from mainspring.data import AsyncWriteSession, Database, across_tenants
from mainspring.errors import ConcurrentUpdate

from ._keyring import HEADER_BYTES, Keyring, key_of
from ._types import Encrypted

_BATCH = 200
_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class RotationProgress:
    """What one batch of a rotation has done.

    Attributes:
        table: Whose rows.
        renewed: Values that have the current key now.
        passed: Values that somebody else has changed meanwhile; theirs stay.
    """

    table: str
    renewed: int
    passed: int


@dataclass(frozen=True, slots=True)
class KeyUse:
    """How many values of a column have a key.

    Attributes:
        column: `table.column`.
        key: Its name; None for values that are not encrypted.
        values: How many.
        current: Whether it is the one that encrypts.
    """

    column: str
    key: str | None
    values: int
    current: bool


def encrypted_columns(metadata: MetaData) -> Mapping[Table, Sequence[Column[Any]]]:
    """Encrypted columns by table.

    Raises:
        TypeError: Two of them have the same context, so that their values could be exchanged; or a table has no primary
            key of one column, by which it could be walked.
    """
    found: dict[Table, list[Column[Any]]] = {}
    owners: dict[str, Column[Any]] = {}
    for table in metadata.sorted_tables:
        for column in table.columns:
            if not isinstance(column.type, Encrypted):
                continue
            other = owners.setdefault(column.type.context, column)
            if other is not column:
                raise TypeError(
                    f"{other} and {column} are both encrypted as {column.type.context!r}. Name each its own."
                )
            if len(table.primary_key.columns) != 1:
                raise TypeError(f"{table.name} has encrypted columns and no primary key of one column.")
            found.setdefault(table, []).append(column)
    return found


async def rotate_encrypted_columns(
    database: Database, keyring: Keyring, metadata: MetaData, *, batch: int = _BATCH
) -> AsyncIterator[RotationProgress]:
    """Encrypt every stored value anew that has not the current key, a batch of rows per transaction.

    Nothing is lost to it: a value is exchanged only if it still is what was read, so whoever writes meanwhile wins. It
    changes neither versions nor `updated_at`, since nothing changed that anybody could see. Broken off, it is simply run
    again. Give every process the new key, behind the old one, before one of them encrypts with it.

    Args:
        database: With any keys or none; the values are read as they are stored.
        keyring: The keys, the new one first.
        metadata: Whose columns.
        batch: Rows per transaction.

    Raises:
        KeyMissing: A value has a key that is not in the keyring. What came before it is done.
        EncryptionFailed: A value cannot be read.
    """
    for table, columns in encrypted_columns(metadata).items():
        walk = _Walk(database, keyring, table, columns, batch)
        while (progress := await walk.batch_done()) is not None:
            yield progress


async def key_use(database: Database, keyring: Keyring, metadata: MetaData) -> Sequence[KeyUse]:
    """How many values have which key, by column. It reads every row."""
    uses = []
    for table, columns in encrypted_columns(metadata).items():
        for column in columns:
            raw = type_coerce(column, LargeBinary)
            head = type_coerce(func.substr(raw, 1, HEADER_BYTES), LargeBinary)
            statement = select(head, func.count()).where(column.is_not(None)).group_by(head)
            async with database.read() as session:
                await across_tenants(session, "which keys are in use", row_level_security=True)
                counted = (await session.execute(statement)).all()
            for header, values in counted:
                key = key_of(bytes(header).ljust(64, b"\x00"))
                uses.append(KeyUse(f"{table.name}.{column.name}", key, values, key == keyring.current))
    return uses


class _Walk:
    """Through one table, by its primary key."""

    def __init__(  # noqa: PLR0917 -- of one module
        self, database: Database, keyring: Keyring, table: Table, columns: Sequence[Column[Any]], batch: int
    ) -> None:
        self._database = database
        self._keyring = keyring
        self._table = table
        self._columns = columns
        self._batch = batch
        (self._key,) = table.primary_key.columns
        self._last: Any = None

    async def batch_done(self) -> RotationProgress | None:
        """The next rows; None when there are no more."""
        # Somebody who locks the same rows in another order may be the one whom the database lets go on.
        for _ in range(_ATTEMPTS):
            try:
                async with self._database.write() as session:
                    await across_tenants(session, "rotation of keys", row_level_security=True)
                    rows = (await session.execute(self._old())).all()
                    progress = await self._renew(session, rows)
            except ConcurrentUpdate:
                continue
            if not rows:
                return None
            self._last = rows[-1][0]
            return progress
        raise ConcurrentUpdate(f"Rows of {self._table.name} were locked by others {_ATTEMPTS} times; run it again.")

    def _old(self) -> Select[Any]:
        raws = [type_coerce(column, LargeBinary) for column in self._columns]
        old = or_(*(_is_old(raw, self._keyring) for raw in raws))
        statement = select(self._key, *raws).where(old).order_by(self._key).limit(self._batch)
        return statement if self._last is None else statement.where(self._key > self._last)

    async def _renew(self, session: AsyncWriteSession, rows: Sequence[Row[Any]]) -> RotationProgress:
        renewed = passed = 0
        for row in rows:
            stored: Any
            for column, stored in zip(self._columns, row[1:], strict=True):
                if stored is None or bytes(stored).startswith(self._keyring.header):
                    continue
                changed = await self._exchange(session, column, row[0], bytes(stored))
                renewed, passed = renewed + changed, passed + (not changed)
        return RotationProgress(self._table.name, renewed, passed)

    async def _exchange(self, session: AsyncWriteSession, column: Column[Any], key: Any, stored: bytes) -> bool:
        kind: Encrypted[Any] = column.type  # type: ignore[assignment]  # as `encrypted_columns` has chosen it
        renewed = self._keyring.renewed(stored, context=kind.context)
        # Nothing that anybody could see has changed, so `updated_at` and its like stay.
        kept = {one: one for one in self._table.columns if one.onupdate is not None}
        statement = (
            update(self._table)
            .where(self._key == key, type_coerce(column, LargeBinary) == literal(stored, LargeBinary))
            .values({column: literal(renewed, LargeBinary), **kept})
        )
        done: Any = await session.execute(statement)
        return bool(done.rowcount)


def _is_old(raw: ColumnElement[Any], keyring: Keyring) -> ColumnElement[bool]:
    head = type_coerce(func.substr(raw, 1, HEADER_BYTES), LargeBinary)
    return and_(raw.is_not(None), head != literal(keyring.header, LargeBinary))
