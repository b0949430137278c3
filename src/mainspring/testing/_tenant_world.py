"""Two tenants with a row each, and the store that is tested on them."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import pytest
from fastapi import Depends, FastAPI
from httpx2 import ASGITransport, AsyncClient, Response

from mainspring.data import (
    AsyncReadSession,
    AsyncWriteSession,
    Base,
    CursorQuery,
    Database,
    ForeignTenant,
    Listing,
    Store,
    TenantStore,
    for_tenant,
)
from mainspring.errors import NotFound
from mainspring.http import ErrorSeam
from mainspring.kernel import new_id
from mainspring.settings import Settings

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement

REFUSED = (NotFound, ForeignTenant)
"""How a store refuses what is another tenant's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantCase:
    """A store of tenants' rows, and what its tests need to know about it.

    Attributes:
        model: Whose rows.
        row: Makes a new one that is not stored, with what it refers to stored in the session, which knows its tenant.
        change: Attributes that an update sets, to values that no new row has.
        store: Makes the store; by default a plain `TenantStore`.
        listing: What its lists can be asked for; without one, pages, cursors and searches are not tested.
        search: What a search of that listing finds every new row with.
    """

    model: type[Base]
    row: Callable[[AsyncWriteSession], Awaitable[Base]]
    change: Mapping[str, Any]
    store: Callable[[AsyncReadSession], Store[Any]] | None = None
    listing: Listing[Any] | None = None
    search: str = ""

    def store_in(self, session: AsyncReadSession) -> Store[Any]:
        """The store that is tested."""
        return TenantStore(self.model, session) if self.store is None else self.store(session)


class World:
    """Two tenants with a row each. `mine` asks, and `theirs` must not show."""

    def __init__(self, case: TenantCase, database: Database) -> None:
        self.case = case
        self.mine, self.theirs = new_id(), new_id()
        self._database = database
        self._mapper = case.model.__mapper__

    @classmethod
    async def made(cls, case: TenantCase, database: Database) -> "World":
        world = cls(case, database)
        world.own, world.foreign = await world.added(world.mine), await world.added(world.theirs)
        world.before = await world.stored()
        assert world.before is not None, "the row is not seen: connect as a role that row-level security does not hold"
        return world

    own: Any
    foreign: Any
    before: Mapping[str, Any] | None

    async def added(self, tenant: UUID) -> Any:
        async with self._database.write() as session:
            await for_tenant(session, tenant)
            return await self.case.store_in(session).add(await self.case.row(session))

    @asynccontextmanager
    async def reading(self, tenant: UUID | None = None) -> AsyncIterator[Store[Any]]:
        async with self._database.read() as session:
            yield self.case.store_in(await for_tenant(session, tenant or self.mine))

    @asynccontextmanager
    async def writing(self, tenant: UUID | None = None) -> AsyncIterator[Store[Any]]:
        async with self._database.write() as session:
            yield self.case.store_in(await for_tenant(session, tenant or self.mine))

    def key(self, row: Any) -> Any:
        return self._mapper.primary_key_from_instance(row)[0]

    def is_foreign(self) -> "ColumnElement[bool]":
        criterion: ColumnElement[bool] = self._mapper.primary_key[0] == self.key(self.foreign)
        return criterion

    async def stored(self) -> Mapping[str, Any] | None:
        """The other tenant's row as it is in the database."""
        async with self._database.read() as session:
            found = (
                (await session.execute(self.case.model.__table__.select().where(self.is_foreign())))
                .mappings()
                .one_or_none()
            )
            return None if found is None else dict(found)

    async def unharmed(self) -> None:
        assert await self.stored() == self.before, f"another tenant's {self.case.model.__name__} was changed"

    @asynccontextmanager
    async def refused(self) -> AsyncIterator[None]:
        with pytest.raises(REFUSED):
            yield
        await self.unharmed()

    async def ask(self, tenant: UUID, **parameters: Any) -> Response:
        """What a list answers that is made of the store and the listing."""
        app = FastAPI()
        ErrorSeam().install(app)
        app.state.settings = Settings(environment="test")
        assert self.case.listing is not None
        query = Annotated[CursorQuery[Any], Depends(self.case.listing.by_cursor)]

        @app.get("/")
        async def rows(query: query) -> dict[str, Any]:
            async with self.reading(tenant) as store:
                page = await store.page(query)
            return {"keys": [str(self.key(row)) for row in page.items], "next": page.next_cursor}

        async with AsyncClient(transport=ASGITransport(app), base_url="http://test") as client:
            return await client.get("/", params=parameters)

    async def keys(self, **parameters: Any) -> list[str]:
        answer = await self.ask(self.mine, **parameters)
        assert answer.status_code == 200, answer.text
        keys: list[str] = answer.json()["keys"]
        return keys
