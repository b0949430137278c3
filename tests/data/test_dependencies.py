"""The promises of the unit of work, over a real socket: no 2xx before the commit, all or nothing."""

import asyncio
import threading
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Annotated
from uuid import UUID, uuid4

import pytest
from fastapi import APIRouter, BackgroundTasks, Depends, HTTPException, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel
from sqlalchemy import func, insert, select, text

from mainspring.data import Database, ReadSession, WriteSession, database_of
from mainspring.errors import PermissionDenied


class AuthorOut(BaseModel):
    id: UUID
    name: str


class Gate:
    """Holds handlers in the server's thread until the test opens it."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.opened = threading.Event()

    async def wait(self) -> None:
        self.entered.set()
        await asyncio.to_thread(self.opened.wait)


@pytest.fixture
def gate():
    gate = Gate()
    yield gate
    gate.opened.set()


async def eventually(condition):
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def build_app(compose, library, gate, told):
    async def tell() -> None:
        told.append("told")

    routers = (
        writing(library, gate, tell),
        failing(library, tell),
        reading(library, gate),
        calling_back(library, told),
    )
    return compose(*routers, database_pool_size=1, database_pool_timeout=0.3, api_prefix="")


def writing(library, gate, tell) -> APIRouter:
    router = APIRouter()

    @router.post("/authors", status_code=201)
    async def create(name: str, session: WriteSession) -> AuthorOut:
        author = library.Author(name=name)
        session.add(author)
        return AuthorOut(id=uuid4(), name=name)

    @router.post("/books", status_code=201)
    async def create_book(author_id: UUID, session: WriteSession) -> str:
        session.after_commit(tell)
        session.add(library.Book(title="Orphan", author_id=author_id))
        await session.flush()
        return "stored"

    @router.post("/slow", status_code=201)
    async def slow(name: str, session: WriteSession) -> str:
        session.add(library.Author(name=name))
        await session.flush()
        await gate.wait()
        return name

    @router.get("/stream")
    async def stream(session: WriteSession) -> StreamingResponse:
        async def lines() -> AsyncIterator[str]:
            yield "first\n"
            session.add(library.Author(name="too late"))
            await session.flush()
            yield "second\n"

        return StreamingResponse(lines())

    return router


def failing(library, tell) -> APIRouter:
    router = APIRouter()

    async def stores(session: WriteSession) -> AsyncIterator[None]:
        session.add(library.Author(name="from a dependency"))
        await session.flush()
        yield

    @router.post("/failing", status_code=201)
    async def fail(how: str, session: WriteSession, background: BackgroundTasks) -> AuthorOut:
        session.after_commit(tell)
        background.add_task(tell)
        session.add(library.Author(name="never"))
        await session.flush()
        match how:
            case "http":
                raise HTTPException(418, "a teapot")
            case "domain":
                raise PermissionDenied
            case "response":
                return SimpleNamespace(id="not a uuid", name=None)  # type: ignore[return-value]
            case "timeout":
                async with asyncio.timeout(0.01):
                    await asyncio.sleep(30)
            case "commit" | "begin":
                await getattr(session, how)()
        raise RuntimeError(how)

    @router.post("/dependency", status_code=201)
    async def fail_after_a_dependency(_: Annotated[None, Depends(stores, scope="function")]) -> None:
        raise RuntimeError("the handler fails after its dependency has stored something")

    return router


def reading(library, gate) -> APIRouter:
    router = APIRouter()
    every_name = select(library.Author.name).order_by(library.Author.name)

    @router.get("/names")
    async def names(session: ReadSession) -> list[str]:
        return list((await session.scalars(every_name)).all())

    @router.get("/slow")
    async def slow(session: ReadSession) -> int:
        found = await session.scalar(select(func.count()).select_from(library.Author))
        await gate.wait()
        return found or 0

    @router.post("/raw-write")
    async def raw_write(session: ReadSession) -> None:
        await session.execute(insert(library.Author).values(name="smuggled"))

    @router.post("/orm-write")
    async def orm_write(session: ReadSession) -> str:
        session.add(library.Author(name="smuggled"))
        return "stored"

    return router


def calling_back(library, told) -> APIRouter:
    router = APIRouter()

    @router.post("/telling", status_code=201)
    async def telling(name: str, session: WriteSession, request: Request) -> str:
        async def fails() -> None:
            raise RuntimeError("the callback fails")

        async def look() -> None:
            async with database_of(request).read() as other:
                told.extend((await other.scalars(select(library.Author.name))).all())

        session.after_commit(fails)
        session.after_commit(look)
        session.add(library.Author(name=name))
        return name

    return router


@pytest.fixture
def names(fresh_database, library):
    async def names() -> list[str]:
        async with fresh_database.read() as session:
            return sorted((await session.scalars(select(library.Author.name))).all())

    return names


async def test_what_a_handler_stores_is_committed_before_its_answer(socket_client, names):
    answer = await socket_client.post("/authors?name=Ursula")
    assert answer.status_code == 201
    assert await names() == ["Ursula"]


async def test_a_unique_value_that_is_taken_is_409_although_the_handler_returned_201(socket_client, names):
    await socket_client.post("/authors?name=Ursula")
    answer = await socket_client.post("/authors?name=Ursula")
    assert (answer.status_code, answer.json()["code"]) == (409, "ALREADY_EXISTS")
    assert await names() == ["Ursula"]


async def test_a_commit_that_fails_on_a_deferred_constraint_is_409_and_leaves_nothing(
    socket_client, fresh_database, library, told
):
    answer = await socket_client.post(f"/books?author_id={uuid4()}")
    assert (answer.status_code, answer.json()["code"]) == (409, "CONSTRAINT_VIOLATED")
    async with fresh_database.read() as session:
        assert await session.scalar(select(func.count()).select_from(library.Book)) == 0
    assert told == []
    assert (await socket_client.post("/authors?name=next")).status_code == 201


@pytest.mark.parametrize(
    ("how", "status"),
    [("defect", 500), ("http", 418), ("domain", 403), ("response", 500), ("timeout", 500)],
)
async def test_a_request_that_fails_after_a_flush_leaves_no_row_and_tells_nobody(
    how, status, socket_client, names, told
):
    answer = await socket_client.post(f"/failing?how={how}")
    assert answer.status_code == status
    assert await names() == []
    assert told == []
    # The one connection of the pool is back.
    assert (await socket_client.post("/authors?name=next")).status_code == 201


async def test_a_handler_that_fails_undoes_what_its_dependency_stored(socket_client, names):
    assert (await socket_client.post("/dependency")).status_code == 500
    assert await names() == []


@pytest.mark.parametrize("how", ["commit", "begin"])
async def test_committing_in_a_handler_is_refused_with_advice(how, client, unhandled_errors):
    assert (await client.post(f"/failing?how={how}")).status_code == 500
    (error,) = unhandled_errors
    assert "begin_nested()" in str(error)


async def test_a_cancelled_handler_leaves_no_row_and_gives_its_connection_back(client, fresh_database, gate, names):
    request = asyncio.create_task(client.post("/slow?name=cancelled"))
    assert await asyncio.to_thread(gate.entered.wait, 5)
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    gate.opened.set()
    assert (await client.post("/authors?name=next")).status_code == 201
    assert await names() == ["next"]


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_client_that_goes_away_keeps_no_connection(method, live_server, socket_client, gate, names):
    _, writer = await asyncio.open_connection(live_server.host, live_server.port)
    writer.write(f"{method} /slow?name=gone HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n".encode())
    await writer.drain()
    assert await asyncio.to_thread(gate.entered.wait, 5)
    writer.close()
    await writer.wait_closed()
    gate.opened.set()
    assert (await socket_client.post("/authors?name=next")).status_code == 201
    # A handler that has begun is not interrupted: its work is whole, although nobody hears of it.
    assert await names() == (["gone", "next"] if method == "POST" else ["next"])


async def test_a_client_that_goes_away_while_sending_leaves_nothing(live_server, socket_client, names):
    _, writer = await asyncio.open_connection(live_server.host, live_server.port)
    writer.write(b"POST /authors?name=half HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{")
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    assert (await socket_client.post("/authors?name=next")).status_code == 201
    assert "next" in await names()


async def test_callbacks_run_after_the_commit_and_a_failing_one_changes_nothing(socket_client, told):
    answer = await socket_client.post("/telling?name=Ursula")
    assert answer.status_code == 201
    assert told == ["Ursula"]


@pytest.mark.parametrize("path", ["/raw-write", "/orm-write"])
async def test_a_read_session_stores_nothing_and_never_claims_that_it_did(path, socket_client, names):
    assert (await socket_client.post(path)).status_code == 500
    assert await names() == []
    assert (await socket_client.post("/authors?name=next")).status_code == 201


async def test_a_reader_sees_only_what_is_committed(socket_client, gate):
    writing = asyncio.create_task(socket_client.post("/slow?name=soon"))
    assert await asyncio.to_thread(gate.entered.wait, 5)
    gate.opened.set()
    assert (await writing).status_code == 201
    assert (await socket_client.get("/names")).json() == ["soon"]


async def test_an_exhausted_pool_is_503_and_says_when_to_come_back(socket_client, gate):
    holding = asyncio.create_task(socket_client.get("/slow"))
    assert await asyncio.to_thread(gate.entered.wait, 5)
    refused = await socket_client.get("/names")
    assert (refused.status_code, refused.json()["code"]) == (503, "DATABASE_UNAVAILABLE")
    assert int(refused.headers["retry-after"]) >= 1
    gate.opened.set()
    assert (await holding).status_code == 200
    assert (await socket_client.get("/names")).status_code == 200


@pytest.mark.databases("postgresql")
async def test_a_database_that_goes_away_is_503_until_it_is_back(socket_client, database_url):
    place, _, name = database_url.rpartition("/")
    elsewhere = Database.connect(f"{place}/postgres", pool_size=1)
    gone = text("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = :name")

    assert (await socket_client.post("/authors?name=before")).status_code == 201
    async with elsewhere.write() as session:
        await session.execute(text(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false'))
    async with elsewhere.write() as session:
        await session.execute(gone, {"name": name})
    async with elsewhere.write() as session:
        await session.execute(text(f'ALTER DATABASE "{name}" RENAME TO "{name}_gone"'))
    try:
        for path in ("/names", "/names", "/health/ready"):
            assert (await socket_client.get(path)).status_code == 503
    finally:
        async with elsewhere.write() as session:
            await session.execute(text(f'ALTER DATABASE "{name}_gone" RENAME TO "{name}"'))
            await session.execute(text(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true'))
        await elsewhere.close()
    assert (await socket_client.get("/names")).json() == ["before"]


async def test_a_session_used_after_its_unit_of_work_is_refused(socket_client, unhandled_errors, names):
    with pytest.raises(Exception, match=r"peer closed|incomplete|disconnected"):
        await socket_client.get("/stream")
    await eventually(lambda: unhandled_errors)
    assert "closed" in str(unhandled_errors[0])
    assert await names() == []
    assert (await socket_client.post("/authors?name=next")).status_code == 201


async def test_two_writers_at_the_same_time_both_succeed(socket_client, names):
    answers = await asyncio.gather(*(socket_client.post(f"/authors?name={number}") for number in range(8)))
    assert {answer.status_code for answer in answers} == {201}
    assert await names() == sorted(map(str, range(8)))
