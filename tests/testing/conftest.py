"""A service that keeps notes, for the tests of the plugin's fixtures; its table stands in a metadata of its own."""

import pytest
from fastapi import APIRouter, HTTPException, Request
from sqlalchemy import MetaData, select
from sqlalchemy.orm import Mapped, mapped_column

from mainspring.data import Base, Identified, ReadSession, WriteSession
from mainspring.kernel import Clock, Registry
from mainspring.mail import Mailer, Message
from mainspring.testing import Schema


class NotesBase(Base):
    __abstract__ = True
    metadata = MetaData(naming_convention=Base.metadata.naming_convention)


class Note(Identified, NotesBase):
    __tablename__ = "plugin_note"

    text: Mapped[str] = mapped_column(unique=True)


@pytest.fixture
def note() -> type[Note]:
    return Note


@pytest.fixture
def database_schema() -> Schema:
    return Schema(tables=NotesBase.metadata)


@pytest.fixture
def build_app(compose):
    router = APIRouter()

    @router.get("/notes")
    async def read(session: ReadSession) -> list[str]:
        return list((await session.scalars(select(Note.text).order_by(Note.text))).all())

    @router.post("/notes", status_code=201)
    async def write(text: str, session: WriteSession) -> str:
        session.add(Note(text=text))
        return text

    @router.post("/failing")
    async def fail(how: str, session: WriteSession) -> None:
        session.add(Note(text="never"))
        await session.flush()
        raise HTTPException(418) if how == "http" else ZeroDivisionError(how)

    @router.post("/letters")
    async def send(request: Request) -> str:
        registry: Registry = request.app.state.registry
        now = registry.get(Clock).now().isoformat()
        await registry.get(Mailer).send(Message(to="reader@example.com", subject="Hello", text=now))
        return now

    return compose(router, api_prefix="")
