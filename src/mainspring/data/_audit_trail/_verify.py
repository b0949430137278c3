"""Reads the whole trail in pages, and names what does not fit."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, Text, and_, func, or_, select, type_coerce

from mainspring.data._session import AsyncReadSession

from ._keys import AuditKeys
from ._models import AuditEntry, AuditSeal
from ._seals import PAGE, anchor_of, content_of

_entries: Any = AuditEntry.__table__
_seals: Any = AuditSeal.__table__
# As texts: the digest was made of the very text.
_COLUMNS = [type_coerce(c, Text).label(c.name) if c.name in {"before", "after"} else c for c in _entries.c]


@dataclass(frozen=True, slots=True)
class Discrepancy:
    """One thing that is not as it was written.

    Attributes:
        where: The entry or the seal.
        problem: What is wrong with it.
    """

    where: str
    problem: str


@dataclass(slots=True)
class AuditReport:
    """What `verify` has found.

    Attributes:
        entries: How many were read.
        chains: Of so many rows.
        seals: How many were read.
        unsealed: Entries that no seal vouches for yet: if the last ones of a chain among them are gone, nothing shows it.
        anchor: Of the newest seal; kept elsewhere, it shows later whether the database was turned back to an older state.
        discrepancies: The first ones.
        more: How many there are beyond those.
    """

    entries: int = 0
    chains: int = 0
    seals: int = 0
    unsealed: int = 0
    anchor: str | None = None
    discrepancies: list[Discrepancy] = field(default_factory=list)
    more: int = 0

    @property
    def intact(self) -> bool:
        """Whether everything fits."""
        return not self.discrepancies


class Verification:
    """One reading of the trail.

    Args:
        session: Any; what is read needs no transaction, since chains and seals only grow at their ends.
        keys: Those that the digests were made with.
        most: How many discrepancies are named.
    """

    def __init__(self, session: AsyncReadSession, keys: AuditKeys, *, most: int) -> None:
        self._session = session
        self._keys = keys
        self._most = most
        self._report = AuditReport()
        self._purged = -1

    async def run(self, *, since: datetime | None, anchor: str | None) -> AuditReport:
        """See `AuditTrail.verify`."""
        await self._read_purged()
        first = await self._first_seal(since)
        newest = await self._check_seals(first, anchor)
        await self._check_chains(0 if since is None else max(0, first - 1))
        self._report.unsealed = await self._count(_entries.c.epoch >= newest - 1)
        beyond = select(func.coalesce(func.max(_seals.c.number), 0)).scalar_subquery()
        stray = await self._count(or_(_entries.c.epoch > beyond, _entries.c.epoch < 0))
        if stray:
            self._complain("entries", f"{stray} of them are of an epoch that has not begun")
        return self._report

    async def _first_seal(self, since: datetime | None) -> int:
        if since is None:
            return 1
        found = await self._session.scalar(select(func.min(_seals.c.number)).where(_seals.c.sealed_at >= since))
        newest = await self._session.scalar(select(func.max(_seals.c.number)))
        return int(found or (newest or 0) + 1)

    async def _check_seals(self, first: int, anchor: str | None) -> int:
        """The seals from `first` on; returns the number of the newest."""
        wanted, _, digest = (anchor or "").partition(":")
        before: Any = None
        seen = not anchor
        async for seal in self._seals_from(first - 1):
            if seal.number >= first:
                await self._check_seal(seal, before)
            if str(seal.number) == wanted:
                seen = True
                if seal.digest.hex() != digest:
                    self._complain(f"seal {seal.number}", "it is another one than the anchor says")
            before = seal
        if not seen and not await self._is_older(wanted, digest):
            self._complain(f"seal {wanted}", "it is gone, and what was written since: the trail was turned back")
        if before is None:
            return 0
        self._report.anchor = anchor_of(before.number, before.digest)
        newest: int = before.number
        return newest

    async def _is_older(self, wanted: str, digest: str) -> bool:
        """Whether the anchor is a seal from before what is being checked."""
        found = await self._session.scalar(
            select(_seals.c.digest).where(_seals.c.number == (int(wanted) if wanted.isdigit() else -1))
        )
        return found is not None and found.hex() == digest

    async def _check_seal(self, seal: Any, before: Any) -> None:
        self._report.seals += 1
        where = f"seal {seal.number}"
        self._check_digest(where, "seal", seal)
        number, digest = (before.number, before.digest) if before is not None else (0, None)
        if seal.number != number + 1:
            self._complain(where, f"seal {number + 1} is missing before it")
        elif seal.previous != digest:
            self._complain(where, "it does not follow the seal before it")
        if seal.number >= 2 and seal.number - 2 > self._purged:
            await self._check_epoch(where, seal)

    async def _check_epoch(self, where: str, seal: Any) -> None:
        count, content = await content_of(self._session, seal.number - 2)
        if (count, content) != (seal.entries, seal.content) and await self._is_purged(seal.number - 2):
            return
        if count != seal.entries:
            gone = seal.entries - count
            what = f"{gone} are gone" if gone > 0 else f"{-gone} have been added"
            self._complain(where, f"it vouches for {seal.entries} entries: {what}")
        elif content != seal.content:
            self._complain(where, f"the {count} entries that it vouches for are not the same any more")

    async def _is_purged(self, epoch: int) -> bool:
        """Whether entries of an epoch are gone on purpose; also since a moment ago."""
        if epoch > self._purged:
            await self._read_purged()
        return epoch <= self._purged

    async def _read_purged(self) -> None:
        newest = select(_seals).order_by(_seals.c.number.desc()).limit(1)
        seal = (await self._session.execute(newest)).one_or_none()
        if seal is not None and seal.digest == self._keys.digest("seal", seal._asdict()):
            self._purged = seal.purged_through

    async def _check_chains(self, first_epoch: int) -> None:
        before: Any = None
        async for entry in self._entries_from(first_epoch):
            self._report.entries += 1
            where = f"{entry.entity_type} {entry.entity_id} entry {entry.sequence}"
            self._check_digest(where, "entry", entry)
            if before is not None and (before.entity_type, before.entity_id) == (entry.entity_type, entry.entity_id):
                self._check_link(where, entry, before)
            else:
                self._report.chains += 1
                await self._check_beginning(where, entry, first_epoch)
            before = entry

    def _check_link(self, where: str, entry: Any, before: Any) -> None:
        missing = entry.sequence - before.sequence - 1
        if missing:
            self._complain(where, f"{missing} {'entry is' if missing == 1 else 'entries are'} missing before it")
        elif entry.previous != before.digest:
            self._complain(where, "it does not follow the entry before it")

    async def _check_beginning(self, where: str, entry: Any, first_epoch: int) -> None:
        if entry.sequence == 1:
            if entry.previous is not None:
                self._complain(where, "it is the first and follows another")
            return
        # Within one transaction two entries are of one epoch, or of two that follow each other.
        followed = entry.previous_epoch if entry.previous_epoch is not None else max(0, entry.epoch - 1)
        if followed >= first_epoch and not await self._is_purged(followed):
            self._complain(where, f"the {entry.sequence - 1} before it are missing")

    def _check_digest(self, where: str, kind: str, row: Any) -> None:
        expected = self._keys.digest(kind, row._asdict())
        if expected is None:
            self._complain(where, f"its key {row.key_id!r} is not known; is a former secret key missing?")
        elif expected != row.digest:
            self._complain(where, "its content is not what was written")

    def _complain(self, where: str, problem: str) -> None:
        if len(self._report.discrepancies) < self._most:
            self._report.discrepancies.append(Discrepancy(where, problem))
        else:
            self._report.more += 1

    async def _count(self, criterion: ColumnElement[bool]) -> int:
        counted: int = await self._session.scalar(select(func.count()).select_from(_entries).where(criterion)) or 0
        return counted

    async def _seals_from(self, first: int) -> AsyncIterator[Any]:
        after = first - 1
        while True:
            page = select(_seals).where(_seals.c.number > after).order_by(_seals.c.number).limit(PAGE)
            rows = (await self._session.execute(page)).all()
            for row in rows:
                yield row
            if len(rows) < PAGE:
                return
            after = rows[-1].number

    async def _entries_from(self, first_epoch: int) -> AsyncIterator[Any]:
        last: Any = None
        while True:
            rows = (await self._session.execute(_page(first_epoch, last))).all()
            for row in rows:
                yield row
            if len(rows) < PAGE:
                return
            last = rows[-1]


def _page(first_epoch: int, last: Any) -> Select[Any]:
    kind, key, number = _entries.c.entity_type, _entries.c.entity_id, _entries.c.sequence
    statement = select(*_COLUMNS)
    if first_epoch:
        statement = statement.where(_entries.c.epoch >= first_epoch)
    if last is not None:
        beyond = or_(
            kind > last.entity_type,
            and_(kind == last.entity_type, key > last.entity_id),
            and_(kind == last.entity_type, key == last.entity_id, number > last.sequence),
        )
        # The first column once more, by itself, so that the index is entered at the right place.
        statement = statement.where(kind >= last.entity_type, beyond)
    return statement.order_by(kind, key, number).limit(PAGE)
