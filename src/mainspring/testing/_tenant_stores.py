"""Tests that each store of tenants' rows gets: nothing of another tenant's leaks through any of its methods."""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import pytest

from mainspring.data import Base, Database, SoftDeleted, tenant_models
from mainspring.errors import AlreadyExists, NotFound

from ._tenant_world import REFUSED, TenantCase, World

if TYPE_CHECKING:
    from sqlalchemy import MetaData


async def _get(world: World) -> None:
    async with world.reading() as store:
        with pytest.raises(NotFound):
            await store.get(world.key(world.foreign))


async def _get_many(world: World) -> None:
    async with world.reading() as store:
        with pytest.raises(NotFound):
            await store.get_many([world.key(world.own), world.key(world.foreign)])


async def _find(world: World) -> None:
    async with world.reading() as store:
        found = await store.find(world.key(world.foreign))
    assert found is None, "find() gives another tenant's row"


async def _first(world: World) -> None:
    async with world.reading() as store:
        found = await store.first(world.is_foreign())
    assert found is None, "first() gives another tenant's row"


async def _exists(world: World) -> None:
    async with world.reading() as store:
        assert not await store.exists(world.is_foreign()), "exists() knows another tenant's row"


async def _count(world: World) -> None:
    async with world.reading() as store:
        counted = await store.count()
    assert counted == 1, f"count() says {counted} where the tenant has one row"


async def _list(world: World) -> None:
    async with world.reading() as store:
        keys = [world.key(row) for row in await store.list()]
    assert keys == [world.key(world.own)], "list() is not what the tenant has"


async def _stream(world: World) -> None:
    async with world.reading() as store:
        keys = [world.key(row) async for row in store.stream()]
    assert keys == [world.key(world.own)], "stream() is not what the tenant has"


async def _add(world: World) -> None:
    async def smuggled() -> None:
        async with world.writing() as store:
            row: Any = await world.case.row(store.session)  # type: ignore[arg-type]  # it writes
            row.tenant_id = world.theirs
            await store.add(row)

    with pytest.raises((ValueError, *REFUSED)):
        await smuggled()


async def _update(world: World) -> None:
    async with world.refused(), world.writing() as store:
        await store.update(world.foreign, world.case.change)


async def _save(world: World) -> None:
    async with world.refused(), world.writing() as store:
        await store.save(world.foreign)


async def _upsert(world: World) -> None:
    # A key that is taken must be refused like one that is taken by anybody; what has it stays as it is.
    mapper = world.case.model.__mapper__
    key = mapper.get_property_by_column(mapper.primary_key[0]).key
    names = [name for name in mapper.column_attrs.keys() if name not in {"tenant_id", "version"}]  # noqa: SIM118 -- no dict
    values = {name: getattr(world.foreign, name) for name in names} | dict(world.case.change)
    try:
        async with world.writing() as store:
            await store.upsert(values, on=[key])
    except (AlreadyExists, *REFUSED):
        pass
    else:
        pytest.fail(f"an upsert reached another tenant's {world.case.model.__name__}")
    await world.unharmed()


async def _delete(world: World) -> None:
    async with world.refused(), world.writing() as store:
        await store.delete(world.foreign)


async def _purge(world: World) -> None:
    async with world.refused(), world.writing() as store:
        await store.purge(world.foreign)


async def _restore(world: World) -> None:
    async with world.writing(world.theirs) as store:
        await store.delete(await store.get(world.key(world.foreign)))
    world.before = await world.stored()
    async with world.reading() as store:
        assert await store.including_deleted().find(world.key(world.foreign)) is None, "deleted rows of others show"
    async with world.refused(), world.writing() as store:
        await store.including_deleted().restore(world.foreign)


async def _page(world: World) -> None:
    assert await world.keys() == [str(world.key(world.own))], "page() is not what the tenant has"


async def _search(world: World) -> None:
    found = await world.keys(search=world.case.search)
    assert found == [str(world.key(world.own))], "a search finds something else than what the tenant has"


async def _cursor(world: World) -> None:
    await world.added(world.theirs)
    theirs = (await world.ask(world.theirs, page_size=1)).json()["next"]
    assert theirs is not None, "the other tenant's list has no second page"
    answer = await world.ask(world.mine, page_size=1, cursor=theirs)
    assert answer.status_code == 400, f"another tenant's cursor is taken: {answer.status_code}"


type _Check = Callable[[World], Awaitable[None]]

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
        await check(await World.made(case, database) if case is not None else None)  # type: ignore[arg-type]  # asks nobody

    return nothing_leaks
