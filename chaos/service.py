"""The bank: an ordinary service of the chassis, whose guards are parts that can be exchanged (see `guards`)."""

from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel
from sqlalchemy import Executable, column, insert, table, update
from sqlalchemy.orm import Mapped, mapped_column

from mainspring.app import Application, create_app
from mainspring.data import Base, ReadSession, Versioned, WriteSession, idempotency_module
from mainspring.errors import Conflict, NotFound
from mainspring.http import IfNoneMatch
from mainspring.kernel import Module, new_id
from mainspring.settings import Settings

from .guards import FULL, Guards

LIMIT = 1_000
"""The most that one transfer may move; found out late, on purpose."""

_ACCOUNTS = table("accounts", column("id"), column("balance"))
_TRANSFERS = table("transfers", column("id"), column("ref"), column("amount"))
_ENTRIES = table("entries", column("id"), column("transfer_id"), column("account_id"), column("amount"))


class Counter(Versioned, Base):
    """A number that clients read, raise and write back."""

    __tablename__ = "counters"

    id: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[int]


class UnversionedCounter(Base):
    """The same rows; their version is counted, and compared by nobody."""

    __table__ = Counter.__table__


class Transfer(BaseModel):
    """Money that goes from one account to another.

    Attributes:
        ref: The client's own name for it. The database takes it any number of times: how often it is there is what
            the suite counts.
    """

    ref: str
    source: str
    target: str
    amount: int


class Value(BaseModel):
    """What a counter should be."""

    value: int


def build(settings: Settings, guards: Guards = FULL) -> Application:
    """Compose the bank.

    Args:
        settings: Name its database.
        guards: What stands between it and broken promises.
    """
    bank = Module(name="bank", routers=(_transfers(guards), _counters(guards)))
    return create_app("chaos", settings=settings, modules=[idempotency_module(), bank], resources=guards.resources)


def _postings(transfer_id: str, new: Transfer) -> list[list[Executable]]:
    """An entry and a balance for each side. In the order of the accounts, so that two transfers wait and never dead-lock."""
    return [
        [
            insert(_ENTRIES).values(id=new_id().hex, transfer_id=transfer_id, account_id=account, amount=amount),
            update(_ACCOUNTS).where(_ACCOUNTS.c.id == account).values(balance=_ACCOUNTS.c.balance + amount),
        ]
        for account, amount in sorted([(new.source, -new.amount), (new.target, new.amount)])
    ]


def _transfers(guards: Guards) -> APIRouter:
    router = APIRouter()
    execute_with: Any = guards.execute

    @router.post("/transfers", status_code=201, dependencies=[*guards.keyed], response_model=None)
    async def move(new: Transfer, execute: execute_with) -> dict[str, Any] | Response:
        transfer_id = new_id().hex
        first, second = _postings(transfer_id, new)
        await execute(insert(_TRANSFERS).values(id=transfer_id, ref=new.ref, amount=new.amount))
        for statement in first:
            await execute(statement)
        if new.amount > LIMIT:
            if guards.returns_errors:
                return JSONResponse({"code": "TOO_MUCH"}, status_code=409)
            raise Conflict(f"No transfer may move more than {LIMIT}.")
        for statement in second:
            await execute(statement)
        return {"id": transfer_id, "ref": new.ref, "amount": new.amount}

    return router


def _counters(guards: Guards) -> APIRouter:
    router = APIRouter()
    model: Any = Counter if guards.versions else UnversionedCounter
    condition: Any = guards.condition

    @router.get("/counters/{name}")
    async def read(name: str, session: ReadSession, if_none_match: IfNoneMatch) -> Value:
        counter = await session.get(model, name)
        if counter is None:
            raise NotFound(f"There is no counter {name}.")
        if_none_match.check(counter)
        return Value(value=counter.value)

    @router.put("/counters/{name}")
    async def write(name: str, new: Value, session: WriteSession, if_match: condition) -> Value:
        counter = await session.get(model, name)
        if counter is None:
            raise NotFound(f"There is no counter {name}.")
        if guards.checks:
            if_match.check(counter)
        counter.value = new.value
        if not guards.versions:
            counter.version += 1
        await session.flush()
        if_match.tag(counter)
        return Value(value=counter.value)

    return router
