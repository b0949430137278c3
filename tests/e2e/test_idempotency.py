"""One effect per key over several processes, and through the death of one of them at any moment."""

import asyncio
import random

import httpx2
import pytest

from .service import running

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

AGENTS = "/api/v1/agents"
PASSWORD = "correct horse battery staple"
DEATHS = 4


async def signed_in(url):
    async with httpx2.AsyncClient(base_url=url, timeout=30) as client:
        person = {"email": "ada@example.com", "password": PASSWORD, "password_confirm": PASSWORD}
        await client.post("/api/v1/users", json=person)
        form = {"username": "ada@example.com", "password": PASSWORD}
        answer = await client.post("/api/v1/auth/login", data=form)
        return {"Authorization": f"Bearer {answer.json()['access_token']}"}


async def create(client, ada, key):
    body = {"name": f"agent-{key}", "model_name": "scripted"}
    return await client.post(AGENTS, json=body, headers=ada | {"Idempotency-Key": key})


async def until_answered(client, ada, key):
    async with asyncio.timeout(30):
        while True:
            answer = await create(client, ada, key)
            if answer.status_code != 409:
                return answer
            assert answer.json()["error"]["code"] == "IDEMPOTENCY_KEY_IN_USE"
            await asyncio.sleep(0.02)


async def names(client, ada):
    items = (await client.get(AGENTS, params={"page_size": 100}, headers=ada)).json()["items"]
    return sorted(item["name"] for item in items)


def clients(*services):
    # Each request on a connection of its own, or few of them would be simultaneous.
    limits = httpx2.Limits(max_keepalive_connections=0)
    return [httpx2.AsyncClient(base_url=service.url, timeout=30, limits=limits) for service in services]


@pytest.mark.timeout(180)
async def test_fifty_simultaneous_duplicates_on_two_processes_have_one_effect(tmp_path, service_database_url):
    url = service_database_url
    with running(tmp_path, DATABASE_URL=url) as one, running(tmp_path, DATABASE_URL=url) as two:
        ada = await signed_in(one.url)
        first, second = clients(one, two)
        async with first, second:
            for key in ("a", "b", "c"):
                tries = [create(client, ada, f"key-{key}") for client in (first, second) for _ in range(25)]
                answers = await asyncio.gather(*tries)
                given = {answer.content for answer in answers if answer.status_code == 201}
                refused = [answer for answer in answers if answer.status_code != 201]
                assert len(given) == 1
                assert {answer.json()["error"]["code"] for answer in refused} <= {"IDEMPOTENCY_KEY_IN_USE"}
            assert await names(first, ada) == ["agent-key-a", "agent-key-b", "agent-key-c"]


@pytest.mark.timeout(240)
async def test_a_process_that_is_killed_at_any_moment_leaves_one_effect_or_none(tmp_path, service_database_url):
    chance = random.Random(11)
    with running(tmp_path, DATABASE_URL=service_database_url) as survivor:
        ada = await signed_in(survivor.url)
        heard: dict[str, bytes] = {}
        keys = [f"{death}-{number}" for death in range(DEATHS) for number in range(12)]
        for death in range(DEATHS):
            with running(tmp_path, DATABASE_URL=service_database_url) as victim:
                (client,) = clients(victim)
                async with client:
                    tries = {
                        key: asyncio.create_task(create(client, ada, key))
                        for key in keys
                        if key.startswith(f"{death}-")
                    }
                    await asyncio.sleep(chance.uniform(0.005, 0.25))
                    await asyncio.to_thread(victim.kill)
                    await asyncio.wait(tries.values())
                for key, task in tries.items():
                    if task.exception() is None and task.result().status_code == 201:
                        heard[key] = task.result().content
        (client,) = clients(survivor)
        async with client:
            for key in keys:
                answer = await until_answered(client, ada, key)
                assert answer.status_code == 201
                assert heard.get(key, answer.content) == answer.content
            assert await names(client, ada) == sorted(f"agent-{key}" for key in keys)
        assert len(heard) < len(keys), "nobody died in the middle of anything"
