"""What keeps the promises, and how the bank is composed without one of them.

Nothing here switches anything off in the chassis: a guard is taken away by composing the service as somebody would who
does not know it.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Annotated, Any, override

from fastapi import Depends
from fastapi.params import Depends as Dependency
from fastapi.requests import HTTPConnection
from sqlalchemy import Executable

from mainspring.data import (
    AsyncWriteSession,
    Database,
    IdempotencyKeys,
    WriteSession,
    database_of,
    idempotent,
)
from mainspring.http import IfMatch, RequiredIfMatch
from mainspring.kernel import Clock, Registry, Resource

type Execute = Callable[[Executable], Awaitable[Any]]

_DAY = timedelta(days=1)


def _in_the_unit_of_work(session: WriteSession) -> Execute:
    return session.execute


async def _committed_late(connection: HTTPConnection) -> AsyncIterator[Execute]:
    async with database_of(connection).write() as session:
        yield session.execute


def _committed_singly(connection: HTTPConnection) -> Execute:
    async def execute(statement: Executable) -> None:
        async with database_of(connection).write() as session:
            await session.execute(statement)

    return execute


class _AnswersApart(IdempotencyKeys):
    """Stores the answer after the commit of the effect, in a transaction of its own."""

    database: Database

    @override
    async def keep(self, session: AsyncWriteSession, *claim: Any, **answer: Any) -> None:
        async def store() -> None:
            async with self.database.write() as own:
                await super(_AnswersApart, self).keep(own, *claim, **answer)

        session.after_commit(store)


class _AnyBody(IdempotencyKeys):
    """Does not look at what a key was used for."""

    @override
    async def claim(self, session: AsyncWriteSession, *, fingerprint: bytes, **claim: Any) -> Any:
        return await super().claim(session, fingerprint=b"any", **claim)


def _keys(kind: type[IdempotencyKeys]) -> Resource[IdempotencyKeys]:
    async def make(registry: Registry) -> IdempotencyKeys:
        keys = kind(clock=registry.get(Clock), retention=_DAY)
        if isinstance(keys, _AnswersApart):
            keys.database = registry.get(Database)
        return keys

    return Resource(provides=IdempotencyKeys, name="idempotency-keys", make=make, needs=(Clock, Database))


@dataclass(frozen=True, slots=True, kw_only=True)
class Guards:
    """How the bank is composed.

    Attributes:
        execute: The dependency through which a transfer is written.
        keyed: What makes the route of transfers idempotent.
        resources: Take the place of the chassis' own.
        condition: The dependency that reads If-Match.
        checks: Whether If-Match is compared.
        versions: Whether an UPDATE compares the version that it was decided on.
        references: Whether the database refuses an entry of an account that does not exist.
        returns_errors: Whether an error is returned, where it should be raised.
    """

    execute: Any = Annotated[Execute, Depends(_in_the_unit_of_work, scope="function")]
    keyed: Sequence[Dependency] = field(default_factory=lambda: (idempotent(),))
    resources: Sequence[Resource[Any]] = ()
    condition: Any = RequiredIfMatch
    checks: bool = True
    versions: bool = True
    references: bool = True
    returns_errors: bool = False


FULL = Guards()


@dataclass(frozen=True, slots=True)
class Weakness:
    """A composition that lacks one guard.

    Attributes:
        what: It lacks, in words.
        guards: How it is composed.
        breaks: The number of the promise that it cannot keep.
        scenarios: Those that have to notice, and on which databases.
        keys: Whether clients send keys; not where the routes cannot take any, so that nothing else is found.
    """

    what: str
    guards: Guards
    breaks: int
    scenarios: Mapping[str, Sequence[str]]
    keys: bool = True


_BOTH = ("sqlite", "postgresql")
_POSTGRESQL = ("postgresql",)
# The session that an idempotency key is claimed in would be the only writer that SQLite allows.
_LATE = Guards(execute=Annotated[Execute, Depends(_committed_late)], keyed=())
_SINGLY = Guards(execute=Annotated[Execute, Depends(_committed_singly)], keyed=())

WEAKNESSES: Mapping[str, Weakness] = {
    "late-commit": Weakness(
        "The commit comes after the response, as with FastAPI's default scope",
        _LATE,
        1,
        {"refused": _BOTH, "drop": _POSTGRESQL},
        keys=False,
    ),
    "single-commits": Weakness(
        "Each statement is committed by itself",
        _SINGLY,
        2,
        {"refused": _BOTH, "kill": _BOTH, "drop": _POSTGRESQL},
        keys=False,
    ),
    "returned-error": Weakness(
        "An error is returned and not raised", replace(FULL, returns_errors=True), 2, {"refused": _BOTH}
    ),
    "no-reference": Weakness(
        "The deferred constraint is dropped", replace(FULL, references=False), 2, {"refused": _BOTH}
    ),
    "no-key": Weakness(
        "The route is not idempotent", replace(FULL, keyed=()), 4, {"duplicates": _BOTH, "cancel": _BOTH}
    ),
    "answer-apart": Weakness(
        "The answer is stored in a transaction of its own",
        replace(FULL, resources=(_keys(_AnswersApart),)),
        4,
        {"kill": _BOTH, "duplicates": _BOTH},
    ),
    "any-body": Weakness(
        "Nobody looks at what a key was used for",
        replace(FULL, resources=(_keys(_AnyBody),)),
        4,
        {"duplicates": _BOTH},
    ),
    "unchecked": Weakness("If-Match is not compared", replace(FULL, checks=False), 5, {"updates": _BOTH}),
    # On SQLite a unit of work that has read holds the only writer's place, so nobody gets between.
    "no-version": Weakness(
        "If-Match is compared, and no version at the UPDATE", replace(FULL, versions=False), 5, {"updates": _POSTGRESQL}
    ),
    "optional": Weakness("If-Match may be left out", replace(FULL, condition=IfMatch), 5, {"updates": _BOTH}),
}
