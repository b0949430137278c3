"""Whose rows a request is about: sessions that know it, keys and cursors that belong to it."""

from dataclasses import replace
from typing import Annotated, Any
from uuid import UUID, uuid4

import pytest
from fastapi import APIRouter, BackgroundTasks, Depends, Header
from pydantic import BaseModel
from sqlalchemy import MetaData, func, select

from mainspring.app import create_app
from mainspring.data import (
    AsyncReadSession,
    AsyncWriteSession,
    Database,
    ReadSession,
    Store,
    Tenancy,
    TenantStore,
    WriteSession,
    database_of,
    for_tenant,
    idempotency_module,
)
from mainspring.data._idempotency._models import IdempotentAnswer
from mainspring.errors import PermissionDenied
from mainspring.kernel import Module
from mainspring.settings import Settings
from mainspring.testing import Schema
from tests.data.diary import DiaryBase, Note

ADA, BOB = uuid4(), uuid4()


def tenant_of(x_tenant: Annotated[UUID | None, Header()] = None) -> UUID:
    """In a thread, as FastAPI runs what is no coroutine."""
    if x_tenant is None:
        raise PermissionDenied("You belong to no organisation.")
    return x_tenant


def user_of(x_user: Annotated[str, Header()] = "eve") -> str:
    return x_user


TENANCY = Tenancy(tenant_of)
TOLD = Tenancy(tenant_of, row_level_security=True)
Reading = Annotated[AsyncReadSession, Depends(TENANCY.read_session, scope="function")]
Writing = Annotated[AsyncWriteSession, Depends(TENANCY.write_session, scope="function")]
ToldReading = Annotated[AsyncReadSession, Depends(TOLD.read_session, scope="function")]
ToldWriting = Annotated[AsyncWriteSession, Depends(TOLD.write_session, scope="function")]


class NoteIn(BaseModel):
    slug: str


router = APIRouter()


@router.post("/notes", status_code=201, dependencies=[TENANCY.idempotent(by=user_of)])
async def create(note: NoteIn, session: Writing, tenant: Annotated[UUID, Depends(tenant_of)]) -> dict[str, str]:
    await TenantStore(Note, session).add(Note(**note.model_dump()))
    return {"of": str(tenant)}


@router.get("/notes")
async def slugs(session: Reading) -> list[str]:
    return [note.slug for note in await TenantStore(Note, session).list()]


@router.get("/forgotten")
async def forgotten(session: ReadSession) -> list[str]:
    return list((await session.scalars(select(Note.slug))).all())


@router.get("/shared")
async def shared(plain: WriteSession, session: Writing) -> bool:
    return plain is session


@router.post("/told")
async def told(note: NoteIn, session: ToldWriting) -> None:
    await TenantStore(Note, session).add(Note(**note.model_dump()))


@router.get("/told")
async def told_slugs(plain: ReadSession, session: ToldReading) -> list[str]:
    assert plain is not session
    return [note.slug for note in await TenantStore(Note, session).list()]


@router.post("/later")
async def later(
    background: BackgroundTasks, session: Writing, database: Annotated[Database, Depends(database_of)]
) -> None:
    async def forget() -> None:
        # The request's tenant is not inherited by accident.
        async with database.read() as own:
            await Store(Note, own).list()

    background.add_task(forget)


@pytest.fixture
def database_schema() -> Schema:
    whole = MetaData(naming_convention=DiaryBase.metadata.naming_convention)
    for table in (*DiaryBase.metadata.sorted_tables, IdempotentAnswer.__table__):
        table.to_metadata(whole)
    return Schema(tables=whole)


@pytest.fixture
def build_app() -> Any:
    def build(settings: Settings | None = None, **overrides: Any) -> Any:
        modules = [Module(name="diary", routers=(router,)), replace(idempotency_module(), migrations=None)]
        return create_app("diary", settings=settings or Settings(environment="test"), modules=modules, **overrides)

    return build


def of(tenant: UUID, **headers: str) -> dict[str, str]:
    return {"x-tenant": str(tenant), **headers}


async def test_a_request_is_about_the_tenant_that_the_service_names(client):
    for tenant in (ADA, BOB):
        assert (await client.post("/api/v1/notes", json={"slug": "milk"}, headers=of(tenant))).status_code == 201
    await client.post("/api/v1/notes", json={"slug": "tea"}, headers=of(BOB))
    assert (await client.get("/api/v1/notes", headers=of(ADA))).json() == ["milk"]
    assert (await client.get("/api/v1/notes", headers=of(BOB))).json() == ["milk", "tea"]


async def test_without_one_the_services_own_answer_stands(client):
    assert (await client.get("/api/v1/notes")).status_code == 403


async def test_a_route_that_forgot_the_tenant_is_a_defect_and_no_leak(client, unhandled_errors):
    await client.post("/api/v1/notes", json={"slug": "milk"}, headers=of(ADA))
    answer = await client.get("/api/v1/forgotten", headers=of(ADA))
    assert answer.status_code == 500
    assert "milk" not in answer.text
    assert "Note is TenantScoped, and this session has no tenant" in str(unhandled_errors[0])


async def test_the_requests_session_is_the_one_that_knows_the_tenant(client):
    assert (await client.get("/api/v1/shared", headers=of(ADA))).json() is True


async def test_what_runs_after_the_answer_has_no_tenant_of_its_own(client, unhandled_errors):
    await client.post("/api/v1/later", headers=of(ADA))
    assert "this session has no tenant" in str(unhandled_errors[0])


async def test_the_same_key_of_the_same_person_is_another_one_for_another_tenant(client):
    key = {"idempotency-key": "k", "x-user": "eve"}
    answers = [
        await client.post("/api/v1/notes", json={"slug": "milk"}, headers=of(tenant, **key))
        for tenant in (ADA, BOB, ADA)
    ]
    assert [answer.json()["of"] for answer in answers] == [str(ADA), str(BOB), str(ADA)]
    assert [answer.headers.get("idempotency-replayed") for answer in answers] == [None, None, "true"]


async def test_with_row_level_security_a_reader_has_a_session_of_its_own(fresh_database, client):
    await client.post("/api/v1/told", json={"slug": "milk"}, headers=of(ADA))
    assert (await client.get("/api/v1/told", headers=of(ADA))).json() == ["milk"]
    assert (await client.get("/api/v1/told", headers=of(BOB))).json() == []


@pytest.mark.databases("postgresql")
async def test_with_row_level_security_postgresql_is_told(fresh_database):
    async with fresh_database.write() as session:
        await for_tenant(session, ADA, row_level_security=True)
        assert await session.scalar(select(func.current_setting("mainspring.tenant", True))) == str(ADA)
