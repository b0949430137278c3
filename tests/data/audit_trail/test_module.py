"""The module: its tables come from its migration, its seals by themselves, its router to whom it is told."""

import asyncio
from datetime import timedelta

import pytest
from fastapi import APIRouter, Depends
from sqlalchemy import select, text

from mainspring.app import create_app
from mainspring.data import (
    Actor,
    AuditSeal,
    AuditTrail,
    AuditTrailSettings,
    Migrator,
    WriteSession,
    act_as,
    audit_trail_module,
    audit_trail_router,
)
from mainspring.errors import ConstraintViolated, PermissionDenied
from mainspring.kernel import Migrations, Module
from mainspring.testing import Schema

MIGRATIONS = Migrations("mainspring.data._audit_trail.migrations", "mainspring.data._audit_trail")


class TestMigrations:
    @pytest.fixture
    def database_schema(self) -> Schema:
        return Schema((Module(name="audit_trail", migrations=MIGRATIONS),))

    async def test_make_what_the_models_have(self, database_url, database):
        # Other tests' models are in the same metadata.
        drift = await Migrator(database_url, [Module(name="audit_trail", migrations=MIGRATIONS)]).drift()
        assert [line for line in drift if "audit_" in line] == []

    @pytest.mark.databases("postgresql")
    @pytest.mark.parametrize(
        "statement",
        [
            "UPDATE {} SET key_id = 'x'",
            "DELETE FROM {}",
            "TRUNCATE {}",
        ],
    )
    @pytest.mark.parametrize("table", ["audit_entries", "audit_seals"])
    async def test_make_tables_that_only_grow(self, database, statement, table):
        with pytest.raises(ConstraintViolated) as refused:
            async with database.write() as session:
                await session.execute(text(statement.format(table)))
        assert "is append-only" in str(refused.value.__cause__)

    async def test_let_purge_through(self, database, books, frozen_clock):
        async with database.write() as session:
            await (await session.connection()).run_sync(books.Draft.__table__.create)
        trail = await AuditTrail.on(database, "x" * 32, clock=frozen_clock, models=[books.Draft])
        async with database.write() as session:
            session.add(books.Draft(text="x"))
        await trail.seal()
        frozen_clock.advance(timedelta(days=1))

        assert await trail.purge(before=frozen_clock.now()) == 1
        assert (await trail.verify()).intact


async def _identify(user: str | None = None) -> None:
    if user is not None:
        act_as(Actor("user", user))


async def _refuse(user: str | None = None) -> None:
    if user != "root":
        raise PermissionDenied("For root.")


@pytest.fixture
def build_app(books):
    router = APIRouter()

    @router.post("/invoices", dependencies=[Depends(_identify)])
    async def create(number: str, session: WriteSession, *, fail: bool = False) -> str:
        session.add(books.Invoice(number=number))
        await session.flush()
        if fail:
            raise PermissionDenied("Not today.")
        return number

    def build(settings: AuditTrailSettings | None = None, **overrides):
        settings = (settings or AuditTrailSettings(environment="test")).model_copy(
            update={"audit_trail_seal_seconds": 0.05}
        )
        trail = audit_trail_module(settings, routers=(audit_trail_router(dependencies=[Depends(_refuse)]),))
        # The tables come with the others of this test's schema.
        modules = [Module(name="books", routers=(router,)), trail]
        return create_app("books", settings=settings, modules=modules, **overrides)

    return build


class TestAService:
    @pytest.fixture
    def database_schema(self, books) -> Schema:
        return Schema(tables=books.Base.metadata)

    @pytest.fixture
    def build_app(self, build_app, monkeypatch):
        async def none_pending(_):
            return []

        monkeypatch.setattr(Migrator, "pending", none_pending)
        return build_app

    async def test_an_entry_names_who_asked_and_the_request(self, client, fresh_database):
        for user in ("ann", None):
            query = {"number": f"of {user}"} | ({"user": user} if user else {})
            answer = await client.post("/api/v1/invoices", params=query, headers={"x-request-id": f"request-of-{user}"})
            assert answer.status_code == 200

        page = (await client.get("/api/v1/audit-trail", params={"user": "root"})).json()
        named = [(one["actor_kind"], one["actor_id"], one["request_id"]) for one in page["items"]]
        assert named == [("system", "", "request-of-None"), ("user", "ann", "request-of-ann")]
        assert page["items"][0]["after"]["number"] == "of None"

    async def test_a_request_that_fails_leaves_no_entry(self, client, fresh_database):
        assert (await client.post("/api/v1/invoices", params={"number": "1", "fail": True})).status_code == 403

        assert (await client.get("/api/v1/audit-trail", params={"user": "root"})).json()["items"] == []

    async def test_the_trail_is_asked_by_the_contract_for_lists(self, client, fresh_database):
        for number in range(5):
            await client.post("/api/v1/invoices", params={"number": f"{number}", "user": f"user {number % 2}"})

        ask = {"user": "root", "actor_id": "user 0", "page_size": 2}
        first = (await client.get("/api/v1/audit-trail", params=ask)).json()
        rest = (await client.get("/api/v1/audit-trail", params=ask | {"cursor": first["next_cursor"]})).json()
        assert [one["after"]["number"] for one in first["items"] + rest["items"]] == ["4", "2", "0"]
        assert (await client.get("/api/v1/audit-trail", params={"user": "root", "actr": "x"})).status_code == 422

    async def test_who_may_read_it_is_the_callers_to_say(self, client, fresh_database):
        assert (await client.get("/api/v1/audit-trail", params={"user": "ann"})).status_code == 403

    async def test_seals_come_by_themselves(self, client, fresh_database):
        await client.post("/api/v1/invoices", params={"number": "1"})

        async with asyncio.timeout(20):
            while True:
                async with fresh_database.read() as session:
                    if await session.scalar(select(AuditSeal).where(AuditSeal.entries == 1)):
                        break
                await asyncio.sleep(0.05)


@pytest.mark.databases("sqlite")
def test_a_router_for_everybody_is_refused():
    with pytest.raises(ValueError, match="who may read it"):
        audit_trail_router(dependencies=[])
