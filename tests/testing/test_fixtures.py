"""The plugin's fixtures, used as a service's tests use them."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import select

from mainspring.kernel import Clock, Resource


async def texts(database, note) -> list[str]:
    async with database.read() as session:
        return sorted((await session.scalars(select(note.text))).all())


class TestClient:
    async def test_is_a_started_service_on_the_tests_database(self, client, database, note):
        ready = await client.get("/health/ready")
        assert ready.json() == {"status": "ready", "checks": {"database": "up"}}
        assert (await client.post("/notes?text=one")).status_code == 201
        assert await texts(database, note) == ["one"]

    async def test_sees_what_the_test_stored_before(self, database, client, note):
        async with database.write() as session:
            session.add(note(text="prepared"))
        assert (await client.get("/notes")).json() == ["prepared"]

    @pytest.mark.parametrize("_again", [1, 2])
    async def test_commits_twice_and_leaves_nothing_to_the_next_test(self, _again, client):
        assert (await client.get("/notes")).json() == []
        for text in ("one", "two"):
            assert (await client.post(f"/notes?text={text}")).status_code == 201
        assert (await client.get("/notes")).json() == ["one", "two"]

    @pytest.mark.parametrize(("how", "status"), [("http", 418), ("defect", 500)])
    async def test_an_error_after_a_commit_keeps_the_commit_and_nothing_else(self, how, status, client):
        await client.post("/notes?text=one")
        assert (await client.post(f"/failing?how={how}")).status_code == status
        assert (await client.post("/notes?text=one")).status_code == 409
        assert (await client.post("/notes?text=two")).status_code == 201
        assert (await client.get("/notes")).json() == ["one", "two"]

    async def test_answers_500_for_a_defect_whose_exception_is_kept_for_the_test(
        self, client, unhandled_errors, caplog
    ):
        answer = await client.post("/failing?how=a defect")
        assert (answer.status_code, answer.json()["code"]) == (500, "INTERNAL_ERROR")
        (error,) = unhandled_errors
        assert isinstance(error, ZeroDivisionError)
        assert error.__traceback__ is not None
        (record,) = [record for record in caplog.records if "Unhandled exception" in record.message]
        assert record.exc_info


class TestFreshDatabase:
    async def test_takes_requests_at_the_same_time(self, client, fresh_database, note):
        answers = await asyncio.gather(*(client.post(f"/notes?text={number}") for number in range(5)))
        assert {answer.status_code for answer in answers} == {201}
        assert await texts(fresh_database, note) == ["0", "1", "2", "3", "4"]

    async def test_starts_empty_with_every_table(self, fresh_database, note):
        assert await texts(fresh_database, note) == []

    async def test_is_the_database_of_the_test(self, fresh_database, database):
        assert fresh_database is database


class TestLiveServer:
    async def test_answers_on_a_socket_and_shares_the_tests_database(self, live_server, socket_client, database, note):
        assert str(socket_client.base_url).rstrip("/") == live_server.url
        answers = await asyncio.gather(*(socket_client.post(f"/notes?text={number}") for number in range(5)))
        assert {answer.status_code for answer in answers} == {201}
        assert await texts(database, note) == ["0", "1", "2", "3", "4"]

    async def test_uses_the_tests_clock_and_mailer(self, socket_client, frozen_clock, caught_mail):
        answer = await socket_client.post("/letters")
        assert answer.json() == frozen_clock.now().isoformat()
        assert [message.to for message in caught_mail.messages] == ["reader@example.com"]


@pytest.mark.databases("sqlite")
class TestFakes:
    async def test_the_clock_stands_until_the_test_moves_it(self, client, frozen_clock, caught_mail):
        await client.post("/letters")
        frozen_clock.advance(timedelta(hours=1))
        await client.post("/letters")
        assert [message.text for message in caught_mail.messages] == [
            "2026-07-01T12:00:00+00:00",
            "2026-07-01T13:00:00+00:00",
        ]

    def test_without_the_fixture_the_clock_runs(self, app):
        assert app.state.clock.now() <= app.state.clock.now()
        assert type(app.state.clock).__name__ == "SystemClock"

    @pytest.mark.settings(log_level="ERROR", port=1)
    class TestSettings:
        @pytest.mark.settings(port=2)
        def test_come_from_the_markers_the_nearest_last(self, app, settings):
            assert (app.settings.log_level, app.settings.port) == ("ERROR", 2)
            assert app.settings.environment == "test"

        def test_never_name_another_database_than_the_tests_own(self, app, settings, database_url):
            assert app.settings.database_url == database_url != settings.database_url


@pytest.mark.databases("sqlite")
class TestResources:
    @pytest.fixture
    def resources(self):
        async def make(_):
            return "noon"

        return [Resource(provides=Clock, name="clock", make=make)]

    async def test_handed_in_take_the_place_of_the_services_own(self, app, client):
        assert app.registry.get(Clock) == "noon"


class TestDatabases:
    @pytest.mark.databases("sqlite")
    def test_are_those_of_the_marker(self, database_backend, database_url):
        assert database_backend == "sqlite"
        assert database_url.startswith("sqlite:///")

    async def test_are_what_they_are_called(self, database, database_backend):
        assert database.dialect == database_backend

    def test_are_not_started_for_tests_that_use_none(self, request):
        assert not {"database_url", "database_backend"} & set(request.fixturenames)
