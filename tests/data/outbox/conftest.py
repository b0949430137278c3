"""An outbox on the test's database, and a receiver."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import select

from mainspring.data import Outbox, OutboxMessage
from mainspring.data._outbox import OutboxRow
from mainspring.kernel import Migrations, Module
from mainspring.testing import Schema


class Receiver:
    """Takes messages, and refuses those it is told to.

    Attributes:
        got: Topics of what was taken, in order.
        refused: Topics that fail.
    """

    def __init__(self) -> None:
        self.got: list[str] = []
        self.messages: list[OutboxMessage] = []
        self.refused: set[str] = set()
        self.hung: set[str] = set()

    async def __call__(self, messages: Any) -> None:
        topics = [message.topic for message in messages]
        if self.hung & set(topics):
            await asyncio.Event().wait()
        if self.refused & set(topics):
            raise ConnectionError("postgresql://broker:hunter2@host refused it")
        self.got += topics
        self.messages += messages


@pytest.fixture
def database_schema() -> Schema:
    migrations = Migrations("mainspring.data._outbox.migrations", "mainspring.data._outbox")
    return Schema((Module(name="outbox", migrations=migrations),))


@pytest.fixture
def outbox(frozen_clock) -> Outbox:
    return Outbox(clock=frozen_clock)


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


@pytest.fixture
def record(database, outbox):
    """`await record("topic", "topic:key")`: each in a transaction of its own."""

    async def recorded(*topics: str) -> None:
        for topic in topics:
            async with database.write() as session:
                await outbox.record(session, topic, {"about": topic}, key=topic.partition(":")[2] or None)

    return recorded


@pytest.fixture
def waiting(database):
    """`await waiting()`: the rows, in order."""

    async def rows() -> list[OutboxRow]:
        async with database.read() as session:
            return list(await session.scalars(select(OutboxRow).order_by(OutboxRow.position)))

    return rows
