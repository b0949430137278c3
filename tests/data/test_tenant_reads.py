"""Stores read straight through the driver, where no session's guard sees the statement: the tenant holds there too."""

from typing import Any
from uuid import UUID, uuid4

import pytest
from pydantic import BaseModel
from sqlalchemy import MetaData
from sqlalchemy.orm import Mapped

from mainspring.data import (
    Base,
    ForeignTenant,
    Identified,
    Store,
    TenantMissing,
    TenantScoped,
    TenantStore,
    across_tenants,
    copy_rows,
    for_tenant,
    update_rows,
    upsert_rows,
)
from mainspring.errors import AlreadyExists
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


class TestManyRows:
    async def test_have_to_be_said_to_be_the_tenants(self, database, slips):
        async with database.write() as session:
            await for_tenant(session, ADA)
            for only in ({}, {"tenant_id": BOB}):
                with pytest.raises(ForeignTenant, match="Many rows of Slip"):
                    await copy_rows(session, Slip, [{"text": "x"}], only=only)
            with pytest.raises(ForeignTenant):
                await update_rows(session, Slip, [{"id": slips[BOB], "text": "mine"}])
            assert await copy_rows(session, Slip, [{"text": "x"}], only={"tenant_id": ADA}) == 1

    async def test_cannot_reach_another_tenants(self, database, slips):
        async with database.write() as session:
            await for_tenant(session, ADA)
            rows = [{"id": slips[BOB], "text": "mine"}]
            assert await update_rows(session, Slip, rows, only={"tenant_id": ADA}, missing="skip") == 0
            with pytest.raises(AlreadyExists):
                await upsert_rows(session, Slip, rows, on=["id"], only={"tenant_id": ADA})

    async def test_are_refused_without_a_tenant(self, database):
        with pytest.raises(TenantMissing):
            async with database.write() as session:
                await copy_rows(session, Slip, [{"text": "x"}], only={"tenant_id": ADA})

    async def test_of_several_tenants_can_be_stored_across_them(self, database):
        async with database.write() as session:
            await across_tenants(session, "a test")
            assert await copy_rows(session, Slip, [{"text": "x", "tenant_id": one} for one in (ADA, BOB)]) == 2
