"""Tests that each store of tenants' rows gets: nothing of another tenant's leaks through any of its methods."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
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
    SoftDeleted,
    Store,
    TenantStore,
    for_tenant,
    tenant_models,
)
from mainspring.errors import AlreadyExists, NotFound
from mainspring.http import ErrorSeam
from mainspring.kernel import new_id
from mainspring.settings import Settings

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, MetaData

_REFUSED = (NotFound, ForeignTenant)


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


class _World:
    """Two tenants with a row each. `mine` asks, and `theirs` must not show."""

    def __init__(self, case: TenantCase, database: Database) -> None:
        self.case = case
        self.mine, self.theirs = new_id(), new_id()
        self._database = database
        self._mapper = case.model.__mapper__

    @classmethod
    async def made(cls, case: TenantCase, database: Database) -> "_World":
        world = cls(case, database)
        world.own, world.foreign = await world.added(world.mine), await world.added(world.theirs)
        world.before = await world.stored()
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
        with pytest.raises(_REFUSED):
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


async def _get(world: _World) -> None:
    async with world.reading() as store:
        with pytest.raises(NotFound):
            await store.get(world.key(world.foreign))


async def _get_many(world: _World) -> None:
    async with world.reading() as store:
        with pytest.raises(NotFound):
            await store.get_many([world.key(world.own), world.key(world.foreign)])


async def _find(world: _World) -> None:
    async with world.reading() as store:
        found = await store.find(world.key(world.foreign))
    assert found is None, "find() gives another tenant's row"


async def _first(world: _World) -> None:
    async with world.reading() as store:
        found = await store.first(world.is_foreign())
    assert found is None, "first() gives another tenant's row"


async def _exists(world: _World) -> None:
    async with world.reading() as store:
        assert not await store.exists(world.is_foreign()), "exists() knows another tenant's row"


async def _count(world: _World) -> None:
    async with world.reading() as store:
        counted = await store.count()
    assert counted == 1, f"count() says {counted} where the tenant has one row"


async def _list(world: _World) -> None:
    async with world.reading() as store:
        keys = [world.key(row) for row in await store.list()]
    assert keys == [world.key(world.own)], "list() is not what the tenant has"


async def _stream(world: _World) -> None:
    async with world.reading() as store:
        keys = [world.key(row) async for row in store.stream()]
    assert keys == [world.key(world.own)], "stream() is not what the tenant has"


async def _add(world: _World) -> None:
    async def smuggled() -> None:
        async with world.writing() as store:
            row: Any = await world.case.row(store.session)  # type: ignore[arg-type]  # it writes
            row.tenant_id = world.theirs
            await store.add(row)

    with pytest.raises((ValueError, *_REFUSED)):
        await smuggled()


async def _update(world: _World) -> None:
    async with world.refused(), world.writing() as store:
        await store.update(world.foreign, world.case.change)


async def _save(world: _World) -> None:
    async with world.refused(), world.writing() as store:
        await store.save(world.foreign)


async def _upsert(world: _World) -> None:
    # A key that is taken must be refused like one that is taken by anybody; what has it stays as it is.
    mapper = world.case.model.__mapper__
    key = mapper.get_property_by_column(mapper.primary_key[0]).key
    names = [name for name in mapper.column_attrs.keys() if name not in {"tenant_id", "version"}]  # noqa: SIM118 -- no dict
    values = {name: getattr(world.foreign, name) for name in names} | dict(world.case.change)
    try:
        async with world.writing() as store:
            await store.upsert(values, on=[key])
    except (AlreadyExists, *_REFUSED):
        pass
    else:
        pytest.fail(f"an upsert reached another tenant's {world.case.model.__name__}")
    await world.unharmed()


async def _delete(world: _World) -> None:
    async with world.refused(), world.writing() as store:
        await store.delete(world.foreign)


async def _purge(world: _World) -> None:
    async with world.refused(), world.writing() as store:
        await store.purge(world.foreign)


async def _restore(world: _World) -> None:
    async with world.writing(world.theirs) as store:
        await store.delete(await store.get(world.key(world.foreign)))
    world.before = await world.stored()
    async with world.reading() as store:
        assert await store.including_deleted().find(world.key(world.foreign)) is None, "deleted rows of others show"
    async with world.refused(), world.writing() as store:
        await store.including_deleted().restore(world.foreign)


async def _page(world: _World) -> None:
    assert await world.keys() == [str(world.key(world.own))], "page() is not what the tenant has"


async def _search(world: _World) -> None:
    found = await world.keys(search=world.case.search)
    assert found == [str(world.key(world.own))], "a search finds something else than what the tenant has"


async def _cursor(world: _World) -> None:
    await world.added(world.theirs)
    theirs = (await world.ask(world.theirs, page_size=1)).json()["next"]
    assert theirs is not None, "the other tenant's list has no second page"
    answer = await world.ask(world.mine, page_size=1, cursor=theirs)
    assert answer.status_code == 400, f"another tenant's cursor is taken: {answer.status_code}"


type _Check = Callable[[_World], Awaitable[None]]

_CHECKS: Mapping[str, _Check] = {
    check.__name__.removeprefix("_"): check
    for check in (
        *(_get, _get_many, _find, _first, _exists, _count, _list, _stream),
        *(_add, _update, _save, _upsert, _delete, _purge),
    )
}


def _checks(case: TenantCase) -> Iterator[tuple[str, _Check]]:
    yield from _CHECKS.items()
    if issubclass(case.model, SoftDeleted):
        yield "restore", _restore
    if case.listing is not None:
        yield "page", _page
        yield "cursor", _cursor
        if case.search:
            yield "search", _search


def cross_tenant_tests(*cases: TenantCase, metadata: "MetaData | None" = None) -> Callable[..., Awaitable[None]]:
    """A test of every method of every store, on every database, and one that no `TenantScoped` model was forgotten.

        test_tenants = cross_tenant_tests(
            TenantCase(model=Note, row=a_note, change={"text": "mine"}, store=NoteStore, listing=NOTES, search="milk"),
        )

    It uses the fixture `database`. What clients see is tested by `cross_tenant_requests`.

    Args:
        cases: One per model.
        metadata: Whose models must have a case; that of `Base` by default: every model imported so far.
    """
    runs = [
        pytest.param(case, check, id=f"{case.model.__name__}-{name}") for case in cases for name, check in _checks(case)
    ]

    async def forgotten(_: Any) -> None:
        tested = {case.model for case in cases}
        missing = [model.__name__ for model in tenant_models(metadata or Base.metadata) if model not in tested]
        assert not missing, f"no TenantCase for {', '.join(missing)}"

    @pytest.mark.parametrize(("case", "check"), [*runs, pytest.param(None, forgotten, id="none-is-forgotten")])
    async def nothing_leaks(case: TenantCase | None, check: _Check, database: Database) -> None:
        await check(await _World.made(case, database) if case is not None else None)  # type: ignore[arg-type]  # asks nobody

    return nothing_leaks
