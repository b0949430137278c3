"""Idempotency keys: one effect and one answer, whatever is repeated, refused, cut off or lost in between."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Annotated
from uuid import UUID

import pytest
from fastapi import APIRouter, BackgroundTasks, Form, Header, HTTPException, Response, UploadFile
from fastapi.responses import StreamingResponse
from pydantic import BaseModel
from sqlalchemy import MetaData, func, select

from mainspring.app import create_app
from mainspring.data import WriteSession, _unit_of_work, idempotency_module, idempotent
from mainspring.data._idempotency._models import IdempotentAnswer
from mainspring.kernel import Module
from mainspring.settings import Settings
from mainspring.testing import Schema


class AuthorIn(BaseModel):
    name: str


def who(x_user: Annotated[str, Header()] = "ada") -> str:
    return x_user


ONCE = idempotent(by=who)
_ALL = MetaData()


@pytest.fixture
def gate():
    return {"entered": asyncio.Event(), "opened": asyncio.Event(), "told": []}


def creating(router, library, gate):
    async def tell() -> None:
        gate["told"].append("told")

    @router.post("/authors", status_code=201, dependencies=[ONCE])
    async def create(new: AuthorIn, session: WriteSession, response: Response, background: BackgroundTasks) -> UUID:
        author = library.Author(name=new.name)
        session.add(author)
        await session.flush()
        session.after_commit(tell)
        background.add_task(tell)
        response.headers["location"] = f"/authors/{author.id}"
        response.set_cookie("session", "one client's")
        return author.id

    @router.post("/form", dependencies=[ONCE])
    async def form(name: Annotated[str, Form()], file: UploadFile, session: WriteSession) -> int:
        session.add(library.Author(name=name))
        return len(await file.read())


def failing(router, library, _):
    @router.put("/required", dependencies=[idempotent(required=True)])
    async def required(session: WriteSession) -> str:
        return "done"

    @router.post("/failing", dependencies=[ONCE])
    async def fail(new: AuthorIn, session: WriteSession) -> None:
        session.add(library.Author(name=new.name))
        await session.flush()
        raise HTTPException(409, "not today")

    @router.post("/orphans", status_code=201, dependencies=[ONCE])
    async def orphan(author_id: UUID, session: WriteSession) -> str:
        # Refused at the commit only: the reference is checked there.
        session.add(library.Book(title="Orphan", author_id=author_id))
        await session.flush()
        return "stored"


def slow(router, library, gate):
    @router.post("/slow", status_code=201, dependencies=[ONCE])
    async def wait(new: AuthorIn, session: WriteSession) -> str:
        session.add(library.Author(name=new.name))
        await session.flush()
        gate["entered"].set()
        await gate["opened"].wait()
        return "done"


def streaming(router, library, _):
    @router.post("/stream", dependencies=[ONCE])
    async def stream(session: WriteSession, size: int = 3) -> StreamingResponse:
        session.add(library.Author(name="streamed"))

        async def lines() -> AsyncIterator[str]:
            for number in range(size):
                yield f"{number}\n" * (1 if size < 10 else 1024)

        return StreamingResponse(lines())

    @router.post("/events", dependencies=[ONCE])
    async def events(session: WriteSession) -> StreamingResponse:
        session.add(library.Author(name="evented"))

        async def lines() -> AsyncIterator[str]:
            yield "data: 1\n\n"

        return StreamingResponse(lines(), media_type="text/event-stream")


@pytest.fixture
def build_app(library, gate):
    router = APIRouter()
    for add in (creating, failing, slow, streaming):
        add(router, library, gate)

    def build(settings=None, **overrides):
        # The table comes with the others of this test's schema.
        modules = [Module(name="library", routers=(router,)), replace(idempotency_module(), migrations=None)]
        return create_app("library", settings=settings or Settings(), modules=modules, **overrides)

    return build


@pytest.fixture
def settings():
    return Settings(api_prefix="")


@pytest.fixture
def database_schema(library) -> Schema:
    if not _ALL.tables:
        for table in (*library.metadata.tables.values(), IdempotentAnswer.__table__):
            table.to_metadata(_ALL)
    return Schema(tables=_ALL)


@pytest.fixture
def count(database, library):
    async def counted(model=library.Author) -> int:
        async with database.read() as session:
            return await session.scalar(select(func.count()).select_from(model)) or 0

    return counted


def keyed(key="k-1", **headers):
    return {"Idempotency-Key": key, **headers}


class TestRepeating:
    async def test_gives_the_first_answer_and_has_no_second_effect(self, client, count, gate):
        first = await client.post("/authors", json={"name": "Ursula"}, headers=keyed())
        again = await client.post("/authors", json={"name": "Ursula"}, headers=keyed())
        assert (first.status_code, again.status_code, again.content) == (201, 201, first.content)
        assert again.headers["location"] == first.headers["location"]
        assert again.headers["content-type"] == first.headers["content-type"]
        assert ("idempotency-replayed" in first.headers, again.headers["idempotency-replayed"]) == (False, "true")
        assert again.headers["x-request-id"] != first.headers["x-request-id"]
        assert await count() == 1
        assert gate["told"] == ["told", "told"]

    async def test_hands_no_cookie_on(self, client):
        first = await client.post("/authors", json={"name": "Ursula"}, headers=keyed())
        assert "set-cookie" in first.headers
        client.cookies.clear()
        assert "set-cookie" not in (await client.post("/authors", json={"name": "Ursula"}, headers=keyed())).headers

    @pytest.mark.parametrize("key", ["k-1", '"k-1"', " k-1 "])
    async def test_takes_a_key_with_and_without_quotes(self, client, count, key):
        await client.post("/authors", json={"name": "Ursula"}, headers=keyed())
        assert (await client.post("/authors", json={"name": "Ursula"}, headers=keyed(key))).status_code == 201
        assert await count() == 1

    async def test_another_key_is_another_effect(self, client, count):
        for number in range(3):
            await client.post("/authors", json={"name": f"U{number}"}, headers=keyed(f"k-{number}"))
        assert await count() == 3

    async def test_a_request_without_a_key_is_as_ever(self, client, count):
        assert (await client.post("/authors", json={"name": "Ursula"})).status_code == 201
        assert (await client.post("/authors", json={"name": "Ursula"})).status_code == 409
        assert await count(IdempotentAnswer) == 0

    async def test_the_key_of_one_person_means_nothing_to_another(self, client, count):
        first = await client.post("/authors", json={"name": "Ursula"}, headers=keyed())
        other = await client.post("/authors", json={"name": "Octavia"}, headers=keyed(**{"X-User": "bob"}))
        assert other.status_code == 201
        assert other.content != first.content
        assert await count() == 2

    async def test_the_answer_is_compressed_for_whom_takes_it_and_plain_for_whom_does_not(self, client):
        answers = [
            await client.post("/stream", params={"size": 9}, headers=keyed(**{"Accept-Encoding": encoding}))
            for encoding in ("gzip", "identity")
        ]
        assert answers[0].text == answers[1].text

    async def test_a_streamed_answer_is_repeated_whole(self, client, count):
        first = await client.post("/stream", headers=keyed())
        again = await client.post("/stream", headers=keyed())
        assert first.text == again.text == "0\n1\n2\n"
        assert await count() == 1

    @pytest.mark.parametrize(("path", "query"), [("/stream", {"size": 1024}), ("/events", {})])
    async def test_what_cannot_be_kept_has_no_second_effect_either(self, client, count, path, query):
        assert (await client.post(path, params=query, headers=keyed())).status_code == 200
        again = await client.post(path, params=query, headers=keyed())
        assert (again.status_code, again.json()["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")
        assert await count() == 1

    async def test_an_answer_is_forgotten_after_a_day(self, client, count, frozen_clock):
        await client.post("/authors", json={"name": "Ursula"}, headers=keyed())
        await client.post("/authors", json={"name": "Octavia"}, headers=keyed("k-2"))
        frozen_clock.advance(timedelta(hours=23))
        assert (await client.post("/authors", json={"name": "Ursula"}, headers=keyed())).status_code == 201
        frozen_clock.advance(timedelta(hours=2))
        assert (await client.post("/authors", json={"name": "Ursula"}, headers=keyed())).status_code == 409
        assert (await client.post("/authors", json={"name": "Ann"}, headers=keyed())).status_code == 201
        assert await count(IdempotentAnswer) == 1


class TestRefusing:
    @pytest.mark.parametrize(
        "change", [{"json": {"name": "Octavia"}}, {"json": {"name": "Ursula"}, "params": {"x": 1}}]
    )
    async def test_another_request_with_the_key(self, client, count, change):
        await client.post("/authors", json={"name": "Ursula"}, headers=keyed())
        other = await client.post("/authors", headers=keyed(), **change)
        assert (other.status_code, other.json()["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")
        assert await count() == 1

    async def test_another_form_or_file_with_the_key(self, client):
        async def send(name, content):
            return await client.post("/form", data={"name": name}, files={"file": ("a.txt", content)}, headers=keyed())

        assert (await send("Ursula", b"x" * 70_000)).json() == 70_000
        assert (await send("Ursula", b"x" * 70_000)).headers["idempotency-replayed"] == "true"
        assert (await send("Ursula", b"y" * 70_000)).status_code == 422
        assert (await send("Octavia", b"x" * 70_000)).status_code == 422

    async def test_a_missing_key_where_one_is_required(self, client):
        answer = await client.put("/required")
        assert (answer.status_code, answer.json()["code"]) == (400, "IDEMPOTENCY_KEY_MISSING")
        assert (await client.put("/required", headers=keyed())).status_code == 200

    @pytest.mark.parametrize("key", ["", "a b", "a" * 256, "é", "a\tb"])
    async def test_what_is_no_key(self, client, count, key):
        answer = await client.post("/authors", json={"name": "U"}, headers={"Idempotency-Key": key.encode()})
        assert answer.status_code == 400
        assert await count() == 0

    async def test_a_second_request_while_the_first_is_running(self, client, count, gate):
        first = asyncio.create_task(client.post("/slow", json={"name": "Ursula"}, headers=keyed()))
        await gate["entered"].wait()
        second = await client.post("/slow", json={"name": "Ursula"}, headers=keyed())
        assert (second.status_code, second.json()["code"]) == (409, "IDEMPOTENCY_KEY_IN_USE")
        assert second.headers["retry-after"] == "1"
        gate["opened"].set()
        assert (await first).status_code == 201
        assert (await client.post("/slow", json={"name": "Ursula"}, headers=keyed())).status_code == 201
        assert await count() == 1


class TestFailing:
    async def test_an_error_stores_nothing_and_the_key_may_be_used_again(self, client, count):
        for _ in range(2):
            answer = await client.post("/failing", json={"name": "Ursula"}, headers=keyed())
            assert (answer.status_code, "idempotency-replayed" in answer.headers) == (409, False)
        assert await count() == 0
        assert await count(IdempotentAnswer) == 0

    async def test_a_taken_value_is_told_as_such_and_the_key_is_free(self, client, count):
        await client.post("/authors", json={"name": "Ursula"}, headers=keyed())
        for _ in range(2):
            answer = await client.post("/authors", json={"name": "Ursula"}, headers=keyed("k-2"))
            assert (answer.status_code, answer.json()["code"]) == (409, "ALREADY_EXISTS")
        assert await count() == 1

    async def test_an_invalid_request_does_not_use_its_key_up(self, client, count):
        assert (await client.post("/authors", json={"nam": "Ursula"}, headers=keyed())).status_code == 422
        assert (await client.post("/authors", json={"name": "Ursula"}, headers=keyed())).status_code == 201

    async def test_a_commit_that_fails_is_an_error_and_leaves_neither_effect_nor_answer(
        self, socket_client, fresh_database, library
    ):
        missing = "01a1fb3c-e1eb-73d6-8ccf-748bd2bff1f5"
        for _ in range(2):
            answer = await socket_client.post("/orphans", params={"author_id": missing}, headers=keyed())
            assert (answer.status_code, answer.json()["code"]) == (409, "CONSTRAINT_VIOLATED")
            assert answer.headers["x-content-type-options"] == "nosniff"
        async with fresh_database.write() as session:
            assert await session.scalar(select(func.count()).select_from(IdempotentAnswer)) == 0
            session.add(library.Author(id=UUID(missing), name="Ursula"))
        answer = await socket_client.post("/orphans", params={"author_id": missing}, headers=keyed())
        assert (answer.status_code, answer.json()) == (201, "stored")

    async def test_a_database_that_is_lost_at_the_commit_is_an_error_and_the_request_can_be_repeated(
        self, client, database, monkeypatch, library, count, unhandled_errors
    ):
        async def lost(_):
            raise RuntimeError("lost")

        with monkeypatch.context() as patched:
            patched.setattr(_unit_of_work, "complete", lost)
            answer = await client.post("/authors", json={"name": "Ursula"}, headers=keyed())
            assert answer.status_code == 500
            assert "lost" not in answer.text
        assert await count() == 0
        assert (await client.post("/authors", json={"name": "Ursula"}, headers=keyed())).status_code == 201
        assert await count() == 1

    async def test_a_client_that_goes_away_in_between_leaves_the_key_free_or_the_effect_done(
        self, socket_client, fresh_database, library
    ):
        for number in range(20):
            task = asyncio.create_task(
                socket_client.post("/authors", json={"name": f"U{number}"}, headers=keyed(f"k-{number}"))
            )
            await asyncio.sleep(number / 2000)
            task.cancel()
            await asyncio.wait([task])
        for number in range(20):
            for _ in range(200):
                answer = await socket_client.post("/authors", json={"name": f"U{number}"}, headers=keyed(f"k-{number}"))
                if answer.status_code != 409:
                    break
                assert answer.json()["code"] == "IDEMPOTENCY_KEY_IN_USE"
                await asyncio.sleep(0.01)
            assert answer.status_code == 201
        async with fresh_database.read() as session:
            assert await session.scalar(select(func.count()).select_from(library.Author)) == 20

    async def test_the_connection_is_given_back_whatever_happens(self, socket_client, fresh_database):
        for number in range(30):
            await socket_client.post("/failing", json={"name": f"F{number}"}, headers=keyed(f"f-{number}"))
            await socket_client.post("/authors", json={"name": "same"}, headers=keyed(f"s-{number}"))
        assert (await socket_client.post("/authors", json={"name": "new"}, headers=keyed("n"))).status_code == 201


async def test_fifty_simultaneous_duplicates_have_one_effect(socket_client, fresh_database, library):
    answers = await asyncio.gather(
        *(socket_client.post("/authors", json={"name": "Ursula"}, headers=keyed()) for _ in range(50))
    )
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert {answer.json()["code"] for answer in answers if answer.status_code == 409} <= {"IDEMPOTENCY_KEY_IN_USE"}
    assert len({answer.content for answer in answers if answer.status_code == 201}) == 1
    async with fresh_database.read() as session:
        assert await session.scalar(select(func.count()).select_from(library.Author)) == 1


async def test_the_header_is_in_the_api_description(client):
    operation = (await client.get("/openapi.json")).json()["paths"]["/authors"]["post"]
    (header,) = [parameter for parameter in operation["parameters"] if parameter["name"] == "idempotency-key"]
    assert header["description"].startswith("A random text, new for each intended effect")
