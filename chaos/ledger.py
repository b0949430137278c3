"""The database as raw SQL sees it, past everything that is tested."""

import asyncio
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import asyncpg  # type: ignore[import-untyped]  # an optional extra, without types

from .schema import tables

type Rows = list[tuple[Any, ...]]

OPENING = 1_000_000
"""What every account begins with; more than a round can move."""


class Ledger(Protocol):
    """Raw access to one database."""

    dialect: str

    async def run(self, statements: Sequence[str]) -> None:
        """Execute statements in one transaction."""

    async def read(self, queries: Sequence[str]) -> list[Rows]:
        """The rows of each query, all of one moment."""

    async def close(self) -> None:
        """Give the connection back."""


class _Sqlite:
    dialect = "sqlite"

    def __init__(self, path: str) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=20)
        # Only then an index finds what begins with a round's name.
        self._connection.execute("PRAGMA case_sensitive_like = ON")

    async def run(self, statements: Sequence[str]) -> None:
        await asyncio.to_thread(self._run, ["BEGIN IMMEDIATE", *statements, "COMMIT"])

    async def read(self, queries: Sequence[str]) -> list[Rows]:
        # One read transaction sees one moment.
        return (await asyncio.to_thread(self._run, ["BEGIN", *queries, "COMMIT"]))[1:-1]

    async def close(self) -> None:
        self._connection.close()

    def _run(self, statements: Sequence[str]) -> list[Rows]:
        return [self._connection.execute(statement).fetchall() for statement in statements]


class _PostgreSQL:
    dialect = "postgresql"

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def run(self, statements: Sequence[str]) -> None:
        async with self._connection.transaction():
            for statement in statements:
                await self._connection.execute(statement)

    async def read(self, queries: Sequence[str]) -> list[Rows]:
        async with self._connection.transaction(isolation="repeatable_read", readonly=True):
            return [[tuple(row) for row in await self._connection.fetch(query)] for query in queries]

    async def close(self) -> None:
        await self._connection.close()


async def open_ledger(url: str) -> Ledger:
    """Connect to a database by its URL, as in the service's settings."""
    if url.startswith("sqlite:///"):
        return _Sqlite(url.removeprefix("sqlite:///"))
    return _PostgreSQL(await asyncpg.connect(url))


async def prepare(ledger: Ledger, *, references: bool = True) -> None:
    """Make the bank's tables."""
    await ledger.run(tables(ledger.dialect, references=references))


async def open_accounts(ledger: Ledger, accounts: Sequence[str], counter: str) -> None:
    """Make the accounts and the counter of a round."""
    rows = ", ".join(f"('{account}', {OPENING}, {OPENING})" for account in accounts)
    await ledger.run(
        [
            f"INSERT INTO accounts (id, opening, balance) VALUES {rows}",
            f"INSERT INTO counters (id, value, version) VALUES ('{counter}', 0, 1)",
        ]
    )


_TORN = """
    SELECT t.ref, count(e.id), coalesce(sum(e.amount), 0) FROM transfers t LEFT JOIN entries e ON e.transfer_id = t.id
    WHERE t.ref LIKE '{0}%' GROUP BY t.id, t.ref HAVING count(e.id) <> 2 OR coalesce(sum(e.amount), 0) <> 0
"""
_ORPHANS = """
    SELECT e.account_id, e.amount FROM entries e
    WHERE e.account_id LIKE '{0}%'
    AND (NOT EXISTS (SELECT 1 FROM transfers t WHERE t.id = e.transfer_id)
         OR NOT EXISTS (SELECT 1 FROM accounts a WHERE a.id = e.account_id))
"""
_UNEXPLAINED = """
    SELECT a.id, a.balance, a.opening + coalesce(sum(e.amount), 0) FROM accounts a
    LEFT JOIN entries e ON e.account_id = a.id
    WHERE a.id LIKE '{0}%' GROUP BY a.id, a.balance, a.opening
    HAVING a.balance <> a.opening + coalesce(sum(e.amount), 0)
"""
_STORED = "SELECT ref, id FROM transfers WHERE ref LIKE '{0}%'"
_COUNTERS = "SELECT id, value FROM counters WHERE id LIKE '{0}%'"


class Findings:
    """What the database holds of one round, or of all of them, at one moment.

    Attributes:
        stored: The ids of the transfers by the client's name for each.
        counters: Values by name.
        broken: What does not add up, in words.
    """

    def __init__(self, results: Sequence[Rows]) -> None:
        torn, orphans, unexplained, stored, counters = results
        self.stored: dict[str, list[str]] = {}
        for ref, transfer_id in stored:
            self.stored.setdefault(ref, []).append(transfer_id)
        self.counters: Counter[str] = Counter(dict(counters))
        self.broken = list(_words(torn, orphans, unexplained))


def _words(torn: Rows, orphans: Rows, unexplained: Rows) -> Iterator[str]:
    for ref, entries, total in torn:
        yield f"transfer {ref} has {entries} entries that add up to {total}"
    for account, amount in orphans:
        yield f"an entry of {amount} for {account} belongs to no transfer or to no account"
    for account, balance, explained in unexplained:
        yield f"the balance of {account} is {balance}, its entries say {explained}"


async def examine(ledger: Ledger, prefix: str) -> Findings:
    """Look at everything whose name begins with `prefix`; at all there is with an empty one."""
    queries = (_TORN, _ORPHANS, _UNEXPLAINED, _STORED, _COUNTERS)
    return Findings(await ledger.read([query.format(prefix) for query in queries]))


async def stored(ledger: Ledger, prefix: str) -> int:
    """How many transfers there are by now."""
    ((count,),) = (await ledger.read([f"SELECT count(*) FROM transfers WHERE ref LIKE '{prefix}%'"]))[0]
    return int(count)
