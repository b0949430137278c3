"""The generated tests of tenants: they pass for what keeps to its tenant, and each fails for what does not."""

import itertools
from collections.abc import Mapping
from typing import Annotated, Any
from uuid import UUID

import pytest
from fastapi import APIRouter, Depends, Header
from pydantic import BaseModel, ConfigDict
from sqlalchemy import MetaData
from sqlalchemy.orm import Mapped, mapped_column

from mainspring.data import (
    AsyncReadSession,
    AsyncWriteSession,
    Base,
    CursorQuery,
    Identified,
    Listing,
    ReadSession,
    SoftDeleted,
    Store,
    Tenancy,
    TenantStore,
    Versioned,
)
from mainspring.errors import PermissionDenied
from mainspring.http import CursorPage, IfMatch, IfNoneMatch
from mainspring.kernel import new_id
from mainspring.testing import Schema, TenantCase, TenantResource, cross_tenant_requests, cross_tenant_tests
from mainspring.testing._tenant_requests import _checks as checks_of_resource
from mainspring.testing._tenant_requests import _Visit
from mainspring.testing._tenant_stores import _checks as checks_of_case
from mainspring.testing._tenant_world import World
from tests.data.diary import NOTES, DiaryBase, Line, Note


class LeakyBase(Base):
    __abstract__ = True
    metadata = MetaData(naming_convention=Base.metadata.naming_convention)


class Leak(Identified, Versioned, SoftDeleted, LeakyBase):
    """It has a tenant, and nobody looks at it."""

    __tablename__ = "leak"

    tenant_id: Mapped[UUID | None]
    text: Mapped[str] = mapped_column(default="")


LEAKS = Listing(Leak, sorts=[Leak.id], default="id", search=[Leak.text])


async def a_note(_: AsyncWriteSession) -> Note:
    return Note(slug=new_id().hex, text="milk")


async def a_line(session: AsyncWriteSession) -> Line:
    note = await a_note(session)
    session.add(note)
    await session.flush()
    return Line(note_id=note.id)


async def a_leak(_: AsyncWriteSession) -> Leak:
    return Leak(text="milk")


NOTE = TenantCase(model=Note, row=a_note, change={"text": "mine"}, listing=NOTES, search="milk")
LINE = TenantCase(model=Line, row=a_line, change={"text": "mine"})


class LeakyStore(Store[Leak]):
    async def save(self, row: Leak) -> Leak:
        # As a store would that takes whatever object it is handed.
        return await super().save(await self.session.merge(row))

    async def purge(self, row: Leak) -> None:
        await super().purge(await self.session.merge(row))


LEAK = TenantCase(
    model=Leak,
    row=a_leak,
    change={"text": "mine"},
    store=lambda session: LeakyStore(Leak, session),
    listing=LEAKS,
    search="milk",
)


class TestSound:
    @pytest.fixture
    def database_schema(self) -> Schema:
        return Schema(tables=DiaryBase.metadata)

    test_stores = staticmethod(cross_tenant_tests(NOTE, LINE, metadata=DiaryBase.metadata))


class TestLeaky:
    @pytest.fixture
    def database_schema(self) -> Schema:
        return Schema(tables=LeakyBase.metadata)

    @pytest.mark.parametrize("name", dict(checks_of_case(LEAK)))
    async def test_each_check_fails(self, database, name):
        world = await World.made(LEAK, database)
        with pytest.raises((AssertionError, pytest.fail.Exception)):
            await dict(checks_of_case(LEAK))[name](world)

    async def test_a_model_without_a_case_fails(self):
        test = cross_tenant_tests(NOTE, metadata=DiaryBase.metadata)
        (runs,) = [mark.args[1] for mark in test.pytestmark]
        with pytest.raises(AssertionError, match="no TenantCase for Line"):
            await runs[-1].values[1](None)


class NoteOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    slug: str
    text: str


class NoteIn(BaseModel):
    slug: str
    text: str = ""


class NoteChange(BaseModel):
    text: str


async def tenant_of(x_tenant: Annotated[UUID, Header()]) -> UUID:
    return x_tenant


TENANCY = Tenancy(tenant_of)
Reading = Annotated[AsyncReadSession, Depends(TENANCY.read_session, scope="function")]
Writing = Annotated[AsyncWriteSession, Depends(TENANCY.write_session, scope="function")]

notes = APIRouter(prefix="/notes")


@notes.get("")
async def listed(
    session: Reading, query: Annotated[CursorQuery[Note], Depends(NOTES.by_cursor)]
) -> CursorPage[NoteOut]:
    return CursorPage.model_validate(await TenantStore(Note, session).page(query), from_attributes=True)


@notes.post("", status_code=201)
async def create(note: NoteIn, session: Writing) -> NoteOut:
    return NoteOut.model_validate(await TenantStore(Note, session).add(Note(**note.model_dump())))


@notes.get("/{key}")
async def read(key: UUID, session: Reading, if_none_match: IfNoneMatch) -> NoteOut:
    note = await TenantStore(Note, session).get(key)
    if_none_match.check(note)
    return NoteOut.model_validate(note)


@notes.patch("/{key}")
async def change(key: UUID, change: NoteChange, session: Writing, if_match: IfMatch) -> NoteOut:
    store = TenantStore(Note, session)
    note = await store.get(key)
    if_match.check(note)
    await store.update(note, change.model_dump())
    if_match.tag(note)
    return NoteOut.model_validate(note)


@notes.delete("/{key}", status_code=204)
async def delete(key: UUID, session: Writing) -> None:
    store = TenantStore(Note, session)
    await store.delete(await store.get(key))


async def sign_in(_: Any) -> Mapping[str, str]:
    return {"x-tenant": str(new_id())}


telling = APIRouter(prefix="/notes")


@telling.get("/{key}")
async def tell(key: UUID, session: Reading, plain: ReadSession) -> NoteOut:
    """As somebody who says more than that it is not there."""
    if await plain.scalar(Note.__table__.select().where(Note.__table__.c.id == key)):
        raise PermissionDenied
    return NoteOut.model_validate(await TenantStore(Note, session).get(key))


@telling.patch("/{key}")
async def compare_first(key: UUID, change: NoteChange, session: Writing, if_match: IfMatch) -> None:
    """As somebody who looks at the condition before he looks whose it is."""
    found = (await session.execute(Note.__table__.select().where(Note.__table__.c.id == key))).one_or_none()
    if found is not None:
        if_match.check(found)
    await TenantStore(Note, session).get(key)


_slugs = itertools.count()
RESOURCE = TenantResource(
    path="/api/v1/notes",
    sign_in=sign_in,
    new=lambda: {"slug": f"note-{next(_slugs)}", "text": "milk"},
    change={"text": "mine"},
    search={"search": "milk"},
)


class TestSoundRequests:
    @pytest.fixture
    def database_schema(self) -> Schema:
        return Schema(tables=DiaryBase.metadata)

    @pytest.fixture
    def build_app(self, compose) -> Any:
        return compose(notes)

    test_requests = staticmethod(cross_tenant_requests(RESOURCE))


async def everybody() -> UUID:
    """As a service that forgets to ask who it is."""
    return UUID(int=7)


class TestLeakyRequests:
    @pytest.fixture
    def database_schema(self) -> Schema:
        return Schema(tables=DiaryBase.metadata)

    @pytest.fixture
    def build_app(self, compose) -> Any:
        build = compose(notes)

        def leaky(*arguments: Any, **options: Any) -> Any:
            app = build(*arguments, **options)
            app.dependency_overrides[tenant_of] = everybody
            return app

        return leaky

    @pytest.mark.parametrize("name", checks_of_resource(RESOURCE))
    async def test_each_check_fails(self, client, name):
        visit = await _Visit.made(RESOURCE, client)
        with pytest.raises(AssertionError):
            await checks_of_resource(RESOURCE)[name](visit)


class TestTellingRequests:
    @pytest.fixture
    def database_schema(self) -> Schema:
        return Schema(tables=DiaryBase.metadata)

    @pytest.fixture
    def build_app(self, compose) -> Any:
        return compose(telling, notes)

    @pytest.mark.parametrize("name", ["get", "patch"])
    async def test_a_status_that_tells_that_it_is_there_fails(self, client, name):
        visit = await _Visit.made(RESOURCE, client)
        with pytest.raises(AssertionError, match="of another tenant's item with"):
            await checks_of_resource(RESOURCE)[name](visit)
