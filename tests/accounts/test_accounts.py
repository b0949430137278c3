"""Accounts over HTTP, on SQLite and on PostgreSQL."""

import asyncio
import logging
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from mainspring.accounts import CurrentUser, RefreshToken, User
from mainspring.data import Migrator
from mainspring.kernel import Resource
from mainspring.mail import Mailer

PASSWORD = "correct horse battery staple"
API = "/api/v1"


async def me(client, token):
    return await client.get(f"{API}/users/me", headers={"authorization": f"Bearer {token}"})


async def renew(client, token):
    return await client.post(f"{API}/auth/token/refresh", json={"refresh_token": token})


class TestRegistering:
    async def test_a_person_registers_and_no_answer_carries_the_password(self, register):
        answer = await register(email="Ada@Example.com", full_name="Ada")

        assert answer.status_code == 201
        assert (answer.json()["email"], answer.json()["full_name"]) == ("ada@example.com", "Ada")
        assert set(answer.json()) == {"id", "email", "full_name", "is_active", "created_at"}

    @pytest.mark.parametrize("again", ["ada@example.com", "ADA@EXAMPLE.COM"])
    async def test_an_address_is_taken_in_any_case(self, register, again):
        await register()

        answer = await register(email=again)

        assert (answer.status_code, answer.json()["code"]) == (409, "ALREADY_EXISTS")

    @pytest.mark.parametrize(
        ("changes", "loc"),
        [
            ({"password": "short", "password_confirm": "short"}, ["body", "password"]),
            ({"password": "x" * 257, "password_confirm": "x" * 257}, ["body", "password"]),
            ({"password_confirm": "another horse battery"}, ["body"]),
            ({"email": "nobody"}, ["body", "email"]),
            ({"email": "a@b"}, ["body", "email"]),
            ({"full_name": "a\x00b"}, ["body", "full_name"]),
            ({"full_name": ""}, ["body", "full_name"]),
        ],
    )
    async def test_what_is_wrong_is_said_where_it_is_wrong_and_not_repeated(self, client, changes, loc):
        person = {"email": "ada@example.com", "password": PASSWORD, "password_confirm": PASSWORD} | changes

        answer = await client.post(f"{API}/users", json=person)

        assert answer.status_code == 422
        assert loc in [detail["loc"] for detail in answer.json()["errors"]]
        assert PASSWORD not in answer.text

    async def test_nobody_makes_themselves_an_administrator(self, register, database):
        await register(is_superuser=True, is_active=False, hashed_password="x")

        async with database.read() as session:
            (user,) = await session.scalars(select(User))
        assert (user.is_superuser, user.is_active) == (False, True)
        assert user.hashed_password.startswith("$argon2id$")

    async def test_of_twenty_people_with_one_address_one_gets_it(self, socket_client, fresh_database):
        person = {"email": "ada@example.com", "password": PASSWORD, "password_confirm": PASSWORD}

        answers = await asyncio.gather(*(socket_client.post(f"{API}/users", json=person) for _ in range(20)))

        assert sorted(answer.status_code for answer in answers) == [201] + [409] * 19

    async def test_a_welcome_is_sent_to_whom_it_concerns_and_only_once(self, caught_mail, register):
        await register()
        await register()

        (mail,) = caught_mail.messages
        assert mail.to == "ada@example.com"


class TestAFailingMailer:
    @pytest.fixture
    def resources(self, resources):
        class Broken:
            async def send(self, message):
                raise OSError("no route to mail")

        async def make(_):
            return Broken()

        return [*resources, Resource(provides=Mailer, name="mail", make=make)]

    async def test_it_does_not_undo_the_registration(self, register, login, caplog):
        assert (await register()).status_code == 201
        assert (await login()).status_code == 200
        assert "no route to mail" in caplog.text


class TestSigningIn:
    async def test_the_right_password_gives_two_tokens(self, client, register, login):
        await register()

        answer = await login(email=" ADA@example.com")

        assert answer.json()["token_type"] == "bearer"
        assert answer.json()["expires_in"] == 1800
        assert (await me(client, answer.json()["access_token"])).json()["email"] == "ada@example.com"

    async def test_a_wrong_password_and_an_unknown_address_are_told_alike(self, register, login):
        await register()

        wrong, unknown = await login(password="wrong horse battery"), await login(email="eve@example.com")

        def body(answer):
            return {key: value for key, value in answer.json().items() if key != "request_id"}

        assert wrong.status_code == unknown.status_code == 401
        assert body(wrong) == body(unknown)
        assert wrong.json()["code"] == "INVALID_CREDENTIALS"
        assert wrong.headers["www-authenticate"].startswith("Bearer")

    async def test_an_address_that_no_database_could_look_up_is_told_like_an_unknown_one(self, login):
        answer = await login(email="ada\x00@example.com")

        assert (answer.status_code, answer.json()["code"]) == (401, "INVALID_CREDENTIALS")

    async def test_somebody_switched_off_neither_signs_in_nor_goes_on(self, client, ada, login, database):
        async with database.write() as session:
            await session.execute(update(User).values(is_active=False))

        assert (await login()).status_code == 401
        assert (await me(client, ada["access_token"])).status_code == 401
        assert (await renew(client, ada["refresh_token"])).status_code == 401

    @pytest.mark.parametrize("header", [None, "Bearer", "Bearer x", "Basic YTpi", "bearer a.b.c", "Bearer é"])
    async def test_without_a_good_token_nobody_is_anybody(self, client, header):
        answer = await client.get(f"{API}/users/me", headers={"authorization": header.encode()} if header else {})

        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")

    async def test_an_access_token_ends_with_its_time(self, client, frozen_clock, ada):
        frozen_clock.advance(timedelta(minutes=31))

        answer = await me(client, ada["access_token"])

        assert (answer.status_code, answer.json()["code"]) == (401, "INVALID_TOKEN")

    async def test_a_refresh_token_is_no_access_token_and_the_other_way_round(self, client, ada):
        assert (await me(client, ada["refresh_token"])).status_code == 401
        assert (await renew(client, ada["access_token"])).status_code == 401

    async def test_a_token_of_another_service_with_the_same_key_is_refused(self, client, ada, app):
        from mainspring.kernel import SystemClock
        from mainspring.security import AccessTokens

        user_id = (await me(client, ada["access_token"])).json()["id"]
        key = app.settings.secret_key.get_secret_value()
        forged = AccessTokens(key, issuer="another", clock=SystemClock()).issue(user_id, session_id=user_id)

        assert (await me(client, forged)).status_code == 401

    @pytest.mark.parametrize(("superuser", "status"), [(True, 200), (False, 403)])
    async def test_administrators_only_means_administrators_only(self, client, ada, database, superuser, status):
        async with database.write() as session:
            await session.execute(update(User).values(is_superuser=superuser))

        answer = await client.get(f"{API}/admin", headers={"authorization": f"Bearer {ada['access_token']}"})

        assert answer.status_code == status


class TestRefreshing:
    async def test_a_token_is_traded_for_another_pair(self, client, ada):
        pair = (await renew(client, ada["refresh_token"])).json()

        assert pair["refresh_token"] != ada["refresh_token"]
        assert (await me(client, pair["access_token"])).status_code == 200

    async def test_a_token_that_comes_twice_ends_the_sign_in_for_good(self, client, ada, login):
        elsewhere = (await login()).json()
        pair = (await renew(client, ada["refresh_token"])).json()

        again = await renew(client, ada["refresh_token"])

        assert (again.status_code, again.json()["code"]) == (401, "INVALID_REFRESH_TOKEN")
        assert (await renew(client, pair["refresh_token"])).status_code == 401
        assert (await renew(client, elsewhere["refresh_token"])).status_code == 200

    async def test_of_ten_simultaneous_uses_one_succeeds_and_the_sign_in_ends(self, socket_client, fresh_database):
        person = {"email": "ada@example.com", "password": PASSWORD, "password_confirm": PASSWORD}
        await socket_client.post(f"{API}/users", json=person)
        form = {"username": "ada@example.com", "password": PASSWORD}
        token = (await socket_client.post(f"{API}/auth/login", data=form)).json()["refresh_token"]

        answers = await asyncio.gather(*(renew(socket_client, token) for _ in range(10)))

        statuses = sorted(answer.status_code for answer in answers)
        assert statuses == [200] + [401] * 9
        (winner,) = [answer.json() for answer in answers if answer.status_code == 200]
        assert (await renew(socket_client, winner["refresh_token"])).status_code == 401

    async def test_a_token_ends_after_its_days(self, client, frozen_clock, ada):
        frozen_clock.advance(timedelta(days=7, seconds=1))

        assert (await renew(client, ada["refresh_token"])).status_code == 401

    @pytest.mark.parametrize("token", ["unknown", "x" * 200, "\x00", "é"])
    async def test_an_unknown_token_is_401(self, client, token):
        assert (await renew(client, token)).status_code == 401

    @pytest.mark.parametrize("body", [{}, {"refresh_token": ""}, {"refresh_token": "x" * 4097}, {"refresh_token": 7}])
    async def test_what_is_no_token_is_422(self, client, body):
        assert (await client.post(f"{API}/auth/token/refresh", json=body)).status_code == 422

    async def test_no_token_stands_in_the_database(self, client, ada, database):
        async with database.read() as session:
            (row,) = await session.scalars(select(RefreshToken))

        assert ada["refresh_token"].encode() not in row.digest
        assert len(row.digest) == 32


class TestSigningOut:
    async def test_it_ends_this_sign_in_and_no_other(self, client, ada, login):
        elsewhere = (await login()).json()
        pair = (await renew(client, ada["refresh_token"])).json()

        answer = await client.post(f"{API}/auth/logout", json={"refresh_token": pair["refresh_token"]})

        assert (answer.status_code, answer.content) == (204, b"")
        assert (await renew(client, pair["refresh_token"])).status_code == 401
        assert (await renew(client, elsewhere["refresh_token"])).status_code == 200

    async def test_signing_out_twice_or_with_an_unknown_token_is_fine(self, client, ada):
        for token in (ada["refresh_token"], ada["refresh_token"], "unknown"):
            assert (await client.post(f"{API}/auth/logout", json={"refresh_token": token})).status_code == 204


async def test_no_log_line_of_a_whole_visit_holds_a_secret(client, register, login, caplog):
    with caplog.at_level(logging.DEBUG):
        await register()
        first = (await login()).json()
        await login(password="wrong horse battery")
        second = (await renew(client, first["refresh_token"])).json()
        await renew(client, first["refresh_token"])
        await me(client, second["access_token"])
        await client.post(f"{API}/users", json={"email": "x", "password": PASSWORD, "password_confirm": "y"})

    written = caplog.text + " ".join(str(record.__dict__) for record in caplog.records)
    for secret in (PASSWORD, "wrong horse battery", *first.values(), *second.values()):
        assert not isinstance(secret, str) or secret == "bearer" or secret not in written


async def test_who_acts_is_known_to_every_log_line_of_the_request(client, ada, app):
    from mainspring.observability import current_context

    seen = []

    @app.get("/who")
    async def who(user: CurrentUser) -> None:
        seen.append((current_context().principal, str(user.id)))

    await client.get("/who", headers={"authorization": f"Bearer {ada['access_token']}"})

    ((principal, user_id),) = seen
    assert principal == user_id


async def test_the_description_names_where_to_sign_in(app):
    schemes = app.openapi()["components"]["securitySchemes"]
    token_url = schemes["OAuth2Password"]["flows"]["password"]["tokenUrl"]

    assert f"/{token_url}" in app.openapi()["paths"]


@pytest.mark.settings(api_prefix="/v2")
async def test_the_description_names_the_right_place_under_another_prefix(app):
    schemes = app.openapi()["components"]["securitySchemes"]

    assert schemes["OAuth2Password"]["flows"]["password"]["tokenUrl"] == "v2/auth/login"


async def test_the_migrations_go_there_and_back_and_agree_with_the_models(app, fresh_database, database_url):
    migrator = Migrator(database_url, app.modules)

    assert await migrator.pending() == []
    assert [line for line in await migrator.drift() if "users" in line or "refresh_tokens" in line] == []
    await migrator.downgrade("base")
    assert [revision.id for revision in await migrator.pending()] == ["accounts_0001"]
    await migrator.upgrade()
    assert await migrator.pending() == []
