"""What stands between a model and its bulk changes: they pass by the ORM's events, and must not pass by unnoticed."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy.ext.asyncio import AsyncConnection

from mainspring.data._base import Base
from mainspring.data._session import AsyncReadSession, AsyncWriteSession
from mainspring.data._tenancy import check_bulk

type BulkGuard = Callable[[AsyncWriteSession, BulkChange], AbstractAsyncContextManager[None]]
"""What a class has as `__bulk_guard__`; see `BulkChange`."""

_GUARD = "__bulk_guard__"


@dataclass(slots=True)
class BulkChange:
    """A bulk change of one model, as the guards of the model see it.

    COPY, and updates out of a temporary table, raise none of the ORM's events. Of `Audited` models they leave one entry,
    and want a reason (`audit_reason`); those of `TenantScoped` models have to name the session's tenant in `only`. Whatever lives by those, an audit trail
    say, refuses bulk changes in a guard, or takes notice of them in the same unit of work. A model or a mixin has one as
    `__bulk_guard__`; those of all bases count, and none can be lost by another:

        @asynccontextmanager
        async def noted(session: AsyncWriteSession, change: BulkChange) -> AsyncIterator[None]:
            yield  # raising before it refuses the change, after it takes it back
            session.add(Entry(what=f"{change.kind} of {change.rows} {change.model.__name__}"))


        class Audited:
            __bulk_guard__ = staticmethod(noted)

    Attributes:
        kind: Which of the functions: `copy_rows`, `update_rows` or `upsert_rows`.
        model: Whose rows.
        columns: The attributes that are written, by name.
        only: What the caller named as `only`, by attribute.
        rows: How many rows were written; 0 before it.
    """

    kind: Literal["copy", "update", "upsert"]
    model: type[Base]
    columns: Sequence[str]
    only: Mapping[str, Any]
    rows: int = 0


@asynccontextmanager
async def guarded(session: AsyncWriteSession, change: BulkChange) -> AsyncIterator[None]:
    """Within the block a bulk change takes place: all of it or nothing, with the guards of its model around it.

    The savepoint takes back what was written before a row was refused, also where the caller catches the error. It also
    begins the transaction, which the driver for PostgreSQL does no sooner than at a first statement of SQLAlchemy's, and
    COPY is none.
    """
    check_bulk(session, change.model, change.only)
    async with session.begin_nested(), AsyncExitStack() as stack:
        for guard in _everywhere:
            await stack.enter_async_context(guard(session, change))
        for base in change.model.__mro__:
            if _GUARD in vars(base):
                # By the class, so that a function comes out of `staticmethod`.
                await stack.enter_async_context(getattr(base, _GUARD)(session, change))
        yield


_everywhere: list[BulkGuard] = []


def guard_everywhere(guard: BulkGuard) -> BulkGuard:
    """Put a guard around the bulk changes of every model; for what decides by itself which ones concern it."""
    _everywhere.append(guard)
    return guard


@asynccontextmanager
async def unhurried(connection: AsyncConnection) -> AsyncIterator[None]:
    """Within the block statements may take as long as they need: a COPY of millions of rows is one of them."""
    if connection.dialect.name != "postgresql":
        yield
        return
    lift = "SELECT current_setting('statement_timeout'), set_config('statement_timeout', '0', true)"
    limit = (await connection.exec_driver_sql(lift)).one()[0]
    yield
    # Only here: after an error the transaction takes no statement, and undoing the savepoint brings the limit back.
    await connection.exec_driver_sql("SELECT set_config('statement_timeout', $1, true)", (limit,))


def refuse_reader(session: AsyncReadSession, model: type[Base]) -> None:
    """Refuse a session that only reads.

    Raises:
        TypeError: It does.
    """
    if not isinstance(session, AsyncWriteSession):
        raise TypeError(f"A ReadSession cannot store {model.__name__}. Take a WriteSession instead.")
