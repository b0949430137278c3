"""What was not loaded says where it was looked at, and what to write."""

from pathlib import Path
from uuid import UUID

import pytest
from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict
from sqlalchemy import ForeignKey, MetaData, select
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.orm import Mapped, mapped_column, selectinload

from mainspring.data import Base, Identified, LazyLoad, ReadSession, relationship
from mainspring.testing import exact_queries
from tests.observability.capture import json_lines


class AuthorOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    name: str


class BookOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    title: str
    author: AuthorOut


class EssayBase(Base):
    __abstract__ = True
    metadata = MetaData()


class Writer(Identified, EssayBase):
    __tablename__ = "lazy_writer"


class Essay(Identified, EssayBase):
    __tablename__ = "lazy_essay"

    text: Mapped[str] = mapped_column(deferred=True)
    writer_id: Mapped[UUID] = mapped_column(ForeignKey(Writer.id))
    # Comes along with each SELECT, and not with what was stored a moment ago.
    writer: Mapped[Writer] = relationship(lazy="selectin")


@pytest.fixture
async def shelf(database, library):
    async with database.write() as session:
        author = library.Author(name="Ursula")
        session.add(author)
        await session.flush()
        session.add(library.Book(title="Always", author_id=author.id))


@pytest.fixture
async def essays(database):
    async with database.write() as session:
        await session.run_sync(lambda sync: EssayBase.metadata.create_all(sync.connection()))
        writer = Writer()
        session.add(writer)
        await session.flush()
        session.add(Essay(text="long", writer_id=writer.id))
    return database


@pytest.fixture
def build_app(compose, library):
    router = APIRouter()

    @router.get("/handler")
    async def handler(session: ReadSession) -> str:
        book = (await session.scalars(select(library.Book))).one()
        return book.author.name  # the line that is named

    @router.get("/serialized", response_model=list[BookOut])
    async def serialized(session: ReadSession):
        return (await session.scalars(select(library.Book))).all()

    @router.get("/validated")
    async def validated(session: ReadSession) -> BookOut:
        return BookOut.model_validate((await session.scalars(select(library.Book))).one())

    @router.get("/loaded", response_model=list[BookOut])
    async def loaded(session: ReadSession):
        return (await session.scalars(select(library.Book).options(selectinload(library.Book.author)))).all()

    return compose(router, api_prefix="")


def line_of(text):
    lines = Path(__file__).read_text(encoding="utf-8").splitlines()
    (number,) = [number for number, line in enumerate(lines, 1) if text in line and "line_of" not in line]
    return f"{__file__}:{number}"


class TestAttribute:
    async def test_a_relationship_names_itself_the_line_and_the_fix(self, database, library, shelf):
        async with database.read() as session:
            book = (await session.scalars(select(library.Book))).one()
            with pytest.raises(LazyLoad) as raised:
                _ = book.author  # looked at in a test
        assert raised.value.attribute == "Book.author"
        assert raised.value.place == line_of("# looked at in a test")
        assert ".options(selectinload(Book.author))" in str(raised.value)
        assert "loads = (selectinload(Book.author),)" in str(raised.value)

    async def test_it_still_is_what_sqlalchemy_raises(self, database, library, shelf):
        async with database.read() as session:
            book = (await session.scalars(select(library.Book))).one()
            with pytest.raises(InvalidRequestError):
                _ = book.author

    async def test_an_expired_column_names_itself_and_the_line(self, database, library, shelf):
        async with database.read() as session:
            author = (await session.scalars(select(library.Author))).one()
            session.expire(author, ["name"])
            with pytest.raises(LazyLoad, match=r"Author\.name.*session\.refresh") as raised:
                _ = author.name  # has expired
        assert raised.value.place == line_of("# has expired")

    async def test_an_expired_column_of_a_session_that_has_ended_does_too(self, database, library, shelf):
        async with database.read() as session:
            author = (await session.scalars(select(library.Author))).one()
            session.expire(author)
        with pytest.raises(LazyLoad, match=r"Author\.\w+"):
            _ = author.name

    async def test_a_deferred_column_names_itself_and_the_fix(self, essays):
        async with essays.read() as session:
            essay = (await session.scalars(select(Essay))).one()
            with pytest.raises(LazyLoad, match=r"Essay\.text.*undefer\(Essay\.text\)"):
                _ = essay.text

    async def test_a_relationship_that_comes_along_is_missing_on_a_new_row(self, essays):
        async with essays.read() as session:
            writer_id = (await session.scalars(select(Writer.id))).one()
        async with essays.write() as session:
            essay = Essay(text="new", writer_id=writer_id)
            session.add(essay)
            await session.flush()
            with pytest.raises(LazyLoad, match=r"Essay\.writer"):
                _ = essay.writer

    async def test_what_the_session_has_already_needs_no_query(self, essays):
        async with essays.write() as session:
            writer = (await session.scalars(select(Writer))).one()
            essay = Essay(text="new", writer_id=writer.id)
            session.add(essay)
            await session.flush()
            with exact_queries(0):
                assert essay.writer is writer

    async def test_what_can_be_loaded_is_loaded(self, database, library, shelf):
        async with database.read() as session:
            author = (await session.scalars(select(library.Author))).one()
            session.expire(author)
            await session.refresh(author)
            assert author.name == "Ursula"
            session.expire(author)
            assert await session.run_sync(lambda _: author.name) == "Ursula"


class TestRequest:
    async def test_a_handler_that_looks_is_named_in_the_defect(self, shelf, client, unhandled_errors):
        answer = await client.get("/handler")
        assert answer.status_code == 500
        assert "author" not in answer.text
        (error,) = unhandled_errors
        assert isinstance(error, LazyLoad)
        assert error.place == line_of("# the line that is named")

    @pytest.mark.parametrize("path", ["/serialized", "/validated"])
    async def test_a_schema_that_looks_is_logged_with_handler_and_fix(self, path, shelf, client):
        with json_lines() as lines:
            answer = await client.get(path)
        (line,) = lines(message="Unhandled exception")
        assert answer.status_code == 500
        assert "author" not in answer.text
        assert "Book.author was not loaded" in line["exception"]
        assert "selectinload(Book.author)" in line["exception"]
        assert f"in {path.strip('/')}" in line["exception"]
        assert __file__ in line["exception"]

    async def test_the_framework_that_looks_has_no_place_in_the_service(self, shelf, client, unhandled_errors):
        await client.get("/serialized")
        (error,) = unhandled_errors
        assert "the serialization of the response" in str(error)

    async def test_what_the_statement_loads_is_served(self, shelf, client):
        assert (await client.get("/loaded")).json() == [{"title": "Always", "author": {"name": "Ursula"}}]
