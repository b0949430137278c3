"""Requests and units of work that are tried again when another transaction won."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import APIRouter, Request
from pydantic import BaseModel
from sqlalchemy import func, select, text, update

from mainspring.data import SerializableSession, WriteSession, retried
from mainspring.errors import ConcurrentUpdate


class Amount(BaseModel):
    amount: int
    padding: str = ""


@pytest.fixture
def seen() -> SimpleNamespace:
    return SimpleNamespace(calls=0, states=[], losses=0)


def counting(library: Any) -> APIRouter:
    router = APIRouter()

    async def add(body: Amount, session: Any) -> int:
        book = await session.scalar(select(library.Book))
        # What only a serializable transaction notices: the value written depends on what was read, not on the row.
        total: int = book.pages + body.amount
        await session.execute(update(library.Book).values(pages=total))
        return total

    @router.post("/retried", dependencies=[retried(attempts=50)])
    async def with_retries(body: Amount, session: SerializableSession) -> int:
        return await add(body, session)

    @router.post("/once")
    async def without(body: Amount, session: SerializableSession) -> int:
        return await add(body, session)

    return router


def losing(library: Any, seen: SimpleNamespace) -> APIRouter:
    router = APIRouter()

    @router.post("/losing", dependencies=[retried(attempts=3)], status_code=201)
    async def lose(request: Request, body: Amount, session: WriteSession) -> int:
        seen.calls += 1
        seen.states.append(getattr(request.state, "mark", None))
        request.state.mark = seen.calls
        session.add(library.Author(name=f"attempt {seen.calls}"))
        await session.flush()
        if seen.calls <= seen.losses:
            raise ConcurrentUpdate
        return body.amount

    @router.get("/losing", dependencies=[retried()])
    async def lose_while_reading() -> None:
        seen.calls += 1
        if seen.calls <= seen.losses:
            raise ConcurrentUpdate

    return router


@pytest.fixture
def build_app(compose, library, seen):
    return compose(counting(library), losing(library, seen), api_prefix="")


class TestRoutes:
    async def test_that_want_it_lose_no_increment_to_each_other(self, fresh_database, library, socket_client):
        async with fresh_database.write() as session:
            author = library.Author(name="Ada")
            session.add(library.Book(title="Notes", author=author, pages=100))
        answers = await asyncio.gather(*(socket_client.post("/retried", json={"amount": 2}) for _ in range(12)))
        assert [answer.status_code for answer in answers] == [200] * 12
        assert sorted(answer.json() for answer in answers) == list(range(102, 126, 2))

    async def test_that_do_not_answer_409_and_store_nothing(self, fresh_database, library, socket_client):
        async with fresh_database.write() as session:
            author = library.Author(name="Ada")
            session.add(library.Book(title="Notes", author=author, pages=100))
        answers = await asyncio.gather(*(socket_client.post("/once", json={"amount": 1}) for _ in range(12)))
        done = [answer for answer in answers if answer.status_code == 200]
        assert {answer.json()["code"] for answer in answers if answer not in done} <= {"CONCURRENT_UPDATE"}
        async with fresh_database.read() as session:
            assert await session.scalar(select(library.Book.pages)) == 100 + len(done)

    async def test_begin_anew_with_the_same_body_and_leave_nothing_of_the_first_attempt(
        self, database, library, seen, client
    ):
        seen.losses = 2
        answer = await client.post("/losing", json={"amount": 7})
        assert (answer.status_code, answer.json(), seen.calls, seen.states) == (201, 7, 3, [None, None, None])
        async with database.read() as session:
            assert (await session.scalars(select(library.Author.name))).all() == ["attempt 3"]

    async def test_stop_after_the_last_attempt(self, database, library, seen, client):
        seen.losses = 9
        answer = await client.post("/losing", json={"amount": 7})
        assert (answer.status_code, answer.json()["code"], seen.calls) == (409, "CONCURRENT_UPDATE", 3)
        async with database.read() as session:
            assert await session.scalar(select(func.count()).select_from(library.Author)) == 0

    async def test_are_not_tried_again_with_a_body_too_large_to_keep(self, seen, client):
        seen.losses = 1
        answer = await client.post("/losing", json={"amount": 7, "padding": "x" * 1_100_000})
        assert (answer.status_code, seen.calls) == (409, 1)

    def test_want_at_least_two_attempts(self):
        with pytest.raises(ValueError, match="at least two attempts"):
            retried(attempts=1)

    async def test_may_be_safe_ones_too(self, seen, client):
        seen.losses = 1
        answer = await client.get("/losing")
        assert (answer.status_code, seen.calls) == (200, 2)

    async def test_may_have_a_middleware_that_hands_on_a_copy_of_the_scope(self, app, seen, client):
        class Copying:
            def __init__(self, inner):
                self.inner = inner

            async def __call__(self, scope, receive, send):
                await self.inner(dict(scope), receive, send)

        app.add_middleware(Copying)
        app.middleware_stack = None
        seen.losses = 1
        answer = await client.post("/losing", json={"amount": 7})
        assert (answer.status_code, seen.calls) == (201, 2)


class TestRun:
    async def test_does_the_work_again_until_it_is_done(self, fresh_database, library):
        attempts = []

        async def work(session: Any) -> str:
            attempts.append(1)
            session.add(library.Author(name=f"attempt {len(attempts)}"))
            await session.flush()
            if len(attempts) < 3:
                raise ConcurrentUpdate
            return "done"

        assert await fresh_database.run(work) == "done"
        async with fresh_database.read() as session:
            assert (await session.scalars(select(library.Author.name))).all() == ["attempt 3"]

    async def test_gives_up_after_the_last_attempt(self, fresh_database):
        attempts = []

        async def work(_: Any) -> None:
            attempts.append(1)
            raise ConcurrentUpdate

        with pytest.raises(ConcurrentUpdate):
            await fresh_database.run(work, attempts=2)
        assert len(attempts) == 2

    async def test_takes_the_asked_isolation(self, fresh_database):
        async def work(session: Any) -> Any:
            if fresh_database.dialect == "sqlite":
                return "serializable"
            return await session.scalar(text("SHOW transaction_isolation"))

        assert await fresh_database.run(work, isolation="SERIALIZABLE") == "serializable"
