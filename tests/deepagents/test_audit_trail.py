"""What DeepAgents' audit trail says of agents and users, and to whom."""

import pytest
from sqlalchemy import select, text

from mainspring.data import AuditEntry, AuditTrail

API = "/api/v1"


@pytest.fixture
def told(database):
    """`await told()`: (table, action, actor) of every entry, oldest first."""

    async def read():
        async with database.read() as session:
            found = await session.scalars(select(AuditEntry).order_by(AuditEntry.id))
            return [(entry.entity_type, entry.action, entry.actor_id) for entry in found]

    return read


async def _id_of(client, headers) -> str:
    found: str = (await client.get(f"{API}/users/me", headers=headers)).json()["id"]
    return found


async def test_agents_are_recorded_with_who_did_it(client, ada, agent, told):
    me = await _id_of(client, ada)
    await client.patch(f"{API}/agents/{agent['id']}", headers=ada, json={"name": "other", "tools": ["calculator"]})
    await client.delete(f"{API}/agents/{agent['id']}", headers=ada)

    assert [one for one in await told() if one[0] == "agents"] == [
        ("agents", "create", me),
        ("agents", "update", me),
        ("agents", "soft_delete", me),
    ]
    assert ("agent_tools", "delete", me) in await told()


async def test_a_refused_change_leaves_no_entry(client, ada, agent, told):
    before = await told()
    new = {"name": agent["name"], "model_name": "scripted"}

    assert (await client.post(f"{API}/agents", headers=ada, json=new)).status_code == 409
    assert await told() == before


async def test_a_registration_shows_no_password_in_any_column(client, ada, database):
    async with database.read() as session:
        (user,) = (await session.execute(text("SELECT * FROM audit_entries WHERE entity_type = 'users'"))).all()
        (hashed,) = (await session.execute(text("SELECT hashed_password FROM users"))).one()

    assert '"hashed_password":"[redacted]"' in user.after
    assert hashed not in str(user)
    assert (user.actor_kind, user.action) == ("system", "create")


async def test_administrators_read_it_and_nobody_else(client, ada, bob, agent, database, app):
    assert (await client.get(f"{API}/audit-trail")).status_code == 401
    assert (await client.get(f"{API}/audit-trail", headers=ada)).status_code == 403
    async with database.write() as session:
        await session.execute(text("UPDATE users SET is_superuser = true WHERE email = 'bob@example.com'"))

    page = await client.get(f"{API}/audit-trail", headers=bob, params={"entity_id": agent["id"]})
    assert [one["action"] for one in page.json()["items"]] == ["create"]
    assert (await app.registry.get(AuditTrail).verify()).intact
