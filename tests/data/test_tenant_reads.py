"""Stores read straight through the driver, where no session's guard sees the statement: the tenant holds there too."""

from typing import Any
from uuid import UUID, uuid4

import pytest
from pydantic import BaseModel
from sqlalchemy import MetaData
from sqlalchemy.orm import Mapped

from mainspring.data import (
    Base,
    Identified,
    Store,
    TenantMissing,
    TenantScoped,
    TenantStore,
    across_tenants,
    for_tenant,
)
from mainspring.testing import Schema

ADA, BOB = uuid4(), uuid4()


class DeskBase(Base):
    __abstract__ = True
    metadata = MetaData(naming_convention=Base.metadata.naming_convention)


class Person(Identified, DeskBase):
    __tablename__ = "desk_person"


class Slip(TenantScoped, Identified, DeskBase):
    """Its columns and nothing else, so that it is read directly."""

    __tablename__ = "desk_slip"

    text: Mapped[str]


class Shown(BaseModel):
    id: UUID
    tenant_id: UUID


@pytest.fixture
def database_schema() -> Schema:
    return Schema(tables=DeskBase.metadata)


@pytest.fixture
async def slips(database) -> dict[UUID, UUID]:
    """One row of each tenant, of a model that is its columns and nothing else."""
    kept = {}
    for tenant in (ADA, BOB):
        async with database.write() as session:
            added = await TenantStore(Slip, await for_tenant(session, tenant)).add(Slip(text="secret"))
            kept[tenant] = added.id
    return kept


async def seen(store: Store[Any]) -> list[UUID]:
    """The tenants of what it gives, which is the same whichever way it is asked."""
    listed = [row.tenant_id for row in await store.list()]
    assert [row.tenant_id for row in await store.into(Shown).list(limit=9)] == listed
    return listed


async def test_a_store_of_a_tenant_and_a_plain_one_see_its_rows_alone(database, slips):
    for tenant, other in ((ADA, BOB), (BOB, ADA)):
        async with database.read() as session:
            await for_tenant(session, tenant)
            for store in (
                TenantStore(Slip, session),
                Store(Slip, session),
                Store(Slip, session, only={"text": "secret"}),
            ):
                assert await seen(store) == [tenant]
                assert await store.find(slips[other]) is None
                assert (await store.get(slips[tenant])).tenant_id == tenant


async def test_a_store_that_names_another_tenant_sees_nothing(database, slips):
    async with database.read() as session:
        await for_tenant(session, ADA)
        assert await seen(Store(Slip, session, only={"tenant_id": BOB})) == []


async def test_without_a_tenant_a_store_is_refused(database, slips):
    async with database.read() as session:
        for store in (Store(Slip, session), Store(Slip, session, only={"tenant_id": ADA})):
            with pytest.raises(TenantMissing):
                await store.list()
            with pytest.raises(TenantMissing):
                await store.into(Shown).find(slips[ADA])
        assert await Store(Person, session).list() == []


async def test_a_session_of_all_tenants_sees_all(database, slips):
    async with database.read() as session:
        assert sorted(await seen(Store(Slip, await across_tenants(session, "a test")))) == sorted([ADA, BOB])
