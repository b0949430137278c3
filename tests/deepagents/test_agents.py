"""Agents over HTTP, on SQLite and on PostgreSQL."""

import asyncio
from uuid import uuid4

import pytest

from mainspring.testing import exact_queries, no_repeated_queries, query_budget

AGENTS = "/api/v1/agents"
SOMEBODYS = "01a1fb3c-e1eb-73d6-8ccf-748bd2bff1f5"


async def make(client, owner, **changes):
    return await client.post(AGENTS, headers=owner, json={"name": "helper", "model_name": "scripted", **changes})


async def test_an_agent_is_made_with_the_defaults(client, ada):
    answer = await make(client, ada)

    agent = answer.json()
    assert answer.status_code == 201
    assert (agent["max_tokens"], agent["is_active"], agent["tools"], agent["config"]) == (1000, True, [], None)


async def test_a_name_is_stored_in_lower_case(client, ada):
    assert (await make(client, ada, name="My-Agent_2")).json()["name"] == "my-agent_2"


@pytest.mark.parametrize(
    "name", ["ab", "invalid name!", "", "ÄÖÜ", "\u0430dmin", "a" * 101, "name\n", "na\x00me", 5, None]
)
async def test_a_name_that_breaks_the_rules_is_422_at_its_place(client, ada, name):
    answer = await make(client, ada, name=name)

    (error,) = answer.json()["error"]["details"]
    assert answer.status_code == 422
    assert error["loc"] == ["body", "name"]


@pytest.mark.parametrize("tokens", [99, 100_001, True, 500.5, "500"])
async def test_max_tokens_outside_the_range_or_of_another_type_is_422(client, ada, tokens):
    assert (await make(client, ada, max_tokens=tokens)).status_code == 422


@pytest.mark.parametrize(("tokens", "status"), [(4096, 201), (4097, 422)])
async def test_gpt_3_5_is_capped_when_an_agent_is_made(client, ada, tokens, status):
    assert (await make(client, ada, model_name="gpt-3.5-turbo", max_tokens=tokens)).status_code == status


async def test_gpt_3_5_is_capped_when_only_the_model_is_changed(client, ada):
    agent = (await make(client, ada, max_tokens=8000)).json()

    answer = await client.patch(f"{AGENTS}/{agent['id']}", headers=ada, json={"model_name": "gpt-3.5-turbo"})

    kept = (await client.get(f"{AGENTS}/{agent['id']}", headers=ada)).json()
    assert answer.status_code == 422
    assert kept["model_name"] == "scripted"


async def test_a_name_can_be_taken_once_per_owner(client, ada, bob):
    await make(client, ada)

    again, others = await make(client, ada, name="HELPER"), await make(client, bob)

    assert (again.status_code, again.json()["error"]["code"]) == (409, "ALREADY_EXISTS")
    assert others.status_code == 201


async def test_renaming_to_a_name_that_is_taken_is_409_and_changes_nothing(client, ada, agent):
    other = (await make(client, ada, name="other")).json()

    answer = await client.patch(f"{AGENTS}/{other['id']}", headers=ada, json={"name": "helper", "description": "x"})

    kept = (await client.get(f"{AGENTS}/{other['id']}", headers=ada)).json()
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "ALREADY_EXISTS")
    assert (kept["name"], kept["description"]) == ("other", None)


async def test_the_name_of_a_deleted_agent_is_free_again(client, ada):
    first = (await make(client, ada)).json()

    gone = await client.delete(f"{AGENTS}/{first['id']}", headers=ada)

    assert gone.status_code == 204
    assert (await client.get(f"{AGENTS}/{first['id']}", headers=ada)).status_code == 404
    assert (await make(client, ada)).status_code == 201
    assert (await client.get(AGENTS, headers=ada)).json()["total"] == 1


async def test_twenty_five_agents_come_in_three_pages_newest_first(client, ada):
    for number in range(25):
        await make(client, ada, name=f"agent-{number:02}")

    pages = [(await client.get(AGENTS, headers=ada, params={"page": p, "page_size": 10})).json() for p in (1, 2, 3, 4)]

    names = [agent["name"] for page in pages for agent in page["items"]]
    assert names == [f"agent-{number:02}" for number in reversed(range(25))]
    assert [(page["total"], page["pages"], len(page["items"])) for page in pages] == [
        (25, 3, 10),
        (25, 3, 10),
        (25, 3, 5),
        (25, 3, 0),
    ]


@pytest.mark.parametrize(
    ("search", "names"),
    [
        ("WRITE", ["writer"]),
        ("100%", ["percent"]),
        ("%", ["percent"]),
        ("_", ["under_score"]),
        ("nothing", []),
        ("", ["under_score", "percent", "writer"]),
    ],
)
async def test_search_finds_names_and_descriptions_literally(client, ada, search, names):
    await make(client, ada, name="writer", description="Writes")
    await make(client, ada, name="percent", description="gives 100%")
    await make(client, ada, name="under_score")

    found = (await client.get(AGENTS, headers=ada, params={"search": search})).json()

    assert [agent["name"] for agent in found["items"]] == names


@pytest.mark.parametrize("query", [{"page": 0}, {"page_size": 0}, {"page_size": 101}, {"page": "x"}, {"page": 10_001}])
async def test_a_page_out_of_bounds_is_422(client, ada, query):
    assert (await client.get(AGENTS, headers=ada, params=query)).status_code == 422


@pytest.mark.parametrize("changes", [{"description": "new"}, {"tools": ["date_time"]}, {"config": {"temperature": 1}}])
async def test_a_change_leaves_everything_else_as_it_was(client, ada, agent, changes):
    changed = (await client.patch(f"{AGENTS}/{agent['id']}", headers=ada, json=changes)).json()

    different = {key for key in agent if agent[key] != changed[key]} - {"updated_at"}
    assert different == set(changes)


async def test_tools_keep_the_order_in_which_they_were_given(client, ada, agent):
    for tools in (["text_statistics", "date_time", "calculator"], ["calculator"], []):
        changed = await client.patch(f"{AGENTS}/{agent['id']}", headers=ada, json={"tools": tools})
        assert changed.json()["tools"] == tools
        assert (await client.get(f"{AGENTS}/{agent['id']}", headers=ada)).json()["tools"] == tools


@pytest.mark.parametrize("field", ["name", "model_name", "system_prompt", "max_tokens", "tools", "is_active"])
async def test_what_an_agent_must_have_cannot_be_emptied(client, ada, agent, field):
    assert (await client.patch(f"{AGENTS}/{agent['id']}", headers=ada, json={field: None})).status_code == 422


@pytest.mark.parametrize("field", ["description", "config"])
async def test_what_an_agent_may_lack_can_be_emptied(client, ada, agent, field):
    filled = {"description": "x", "config": {"temperature": 0.5}}
    await client.patch(f"{AGENTS}/{agent['id']}", headers=ada, json=filled)

    emptied = await client.patch(f"{AGENTS}/{agent['id']}", headers=ada, json={field: None})

    assert emptied.json()[field] is None


async def test_an_unknown_tool_is_refused_and_nothing_is_stored(client, ada):
    answer = await make(client, ada, tools=["calculator", "hammer"])

    assert answer.status_code == 422
    assert answer.json()["error"]["details"][0]["loc"] == ["body", "tools", 1]
    assert (await client.get(AGENTS, headers=ada)).json()["total"] == 0


async def test_a_summary_is_id_and_name(client, ada, agent):
    summary = (await client.get(f"{AGENTS}/{agent['id']}/summary", headers=ada)).json()

    assert summary == {"id": agent["id"], "name": "helper"}


async def test_another_persons_agent_does_not_exist_for_any_method(client, bob, agent):
    url = f"{AGENTS}/{agent['id']}"
    answers = [
        await client.get(url, headers=bob),
        await client.get(f"{url}/summary", headers=bob),
        await client.patch(url, headers=bob, json={"name": "stolen"}),
        await client.delete(url, headers=bob),
        await client.post(f"{url}/executions", headers=bob, json={"input": "hi"}),
        await client.post(f"{url}/executions/stream", headers=bob, json={"input": "hi"}),
        await client.get(f"{url}/executions", headers=bob),
        await client.get(f"{AGENTS}/{uuid4()}", headers=bob),
    ]

    assert {answer.status_code for answer in answers} == {404}
    assert {answer.json()["error"]["message"] for answer in answers} == {"There is no agent with this id."}
    assert (await client.get(AGENTS, headers=bob)).json()["items"] == []


async def test_the_agents_of_a_user_are_shown_to_that_user_only(client, ada, bob, agent):
    me = (await client.get("/api/v1/users/me", headers=ada)).json()

    own = await client.get(f"/api/v1/users/{me['id']}/agents", headers=ada)
    foreign = await client.get(f"/api/v1/users/{me['id']}/agents", headers=bob)

    assert [found["id"] for found in own.json()["items"]] == [agent["id"]]
    assert foreign.status_code == 404


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""),
        ("POST", ""),
        ("GET", f"/{SOMEBODYS}"),
        ("PATCH", f"/{SOMEBODYS}"),
        ("DELETE", f"/{SOMEBODYS}"),
        ("POST", f"/{SOMEBODYS}/executions"),
    ],
)
@pytest.mark.databases("sqlite")
async def test_without_signing_in_everything_is_401(client, method, path):
    answer = await client.request(method, AGENTS + path)

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json()["error"]["code"] == "NOT_AUTHENTICATED"


@pytest.fixture
async def socket_ada(socket_client, fresh_database):
    """Somebody who is signed in over the socket."""
    password = {"password": "correct horse battery staple", "password_confirm": "correct horse battery staple"}
    await socket_client.post("/api/v1/users", json={"email": "ada@example.com", **password})
    form = {"username": "ada@example.com", "password": password["password"]}
    token = (await socket_client.post("/api/v1/auth/login", data=form)).json()["access_token"]
    return {"authorization": f"Bearer {token}"}


async def test_two_simultaneous_requests_for_one_name_make_one_agent(socket_client, socket_ada):
    ada = socket_ada
    answers = await asyncio.gather(*(make(socket_client, ada) for _ in range(10)))

    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 9
    assert (await socket_client.get(AGENTS, headers=ada)).json()["total"] == 1


async def test_an_unchanged_agent_is_not_sent_twice(client, ada, agent):
    path = f"{AGENTS}/{agent['id']}"
    first = await client.get(path, headers=ada)
    again = await client.get(path, headers=ada | {"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", first.headers["etag"])


@pytest.mark.parametrize("changes", [{"description": "x"}, {"tools": []}])
async def test_a_change_of_what_somebody_else_has_changed_since_is_412(client, ada, agent, changes):
    path = f"{AGENTS}/{agent['id']}"
    seen = (await client.get(path, headers=ada)).headers["etag"]
    changed = await client.patch(path, headers=ada | {"If-Match": seen}, json=changes)
    assert (changed.status_code, changed.headers["etag"]) == (
        200,
        (await client.get(path, headers=ada)).headers["etag"],
    )
    assert changed.headers["etag"] != seen
    for refused in (
        await client.patch(path, headers=ada | {"If-Match": seen}, json={"description": "lost"}),
        await client.delete(path, headers=ada | {"If-Match": seen}),
    ):
        assert (refused.status_code, refused.json()["error"]["code"]) == (412, "PRECONDITION_FAILED")
    assert (await client.get(path, headers=ada)).json()["description"] != "lost"


async def test_of_simultaneous_changes_from_one_version_exactly_one_is_kept(socket_client, socket_ada):
    ada = socket_ada
    path = f"{AGENTS}/{(await make(socket_client, ada)).json()['id']}"
    seen = (await socket_client.get(path, headers=ada)).headers["etag"]
    answers = await asyncio.gather(
        *(
            socket_client.patch(path, headers=ada | {"If-Match": seen}, json={"description": f"by {number}"})
            for number in range(12)
        )
    )
    assert sorted(answer.status_code for answer in answers) == [200] + [412] * 11
    (kept,) = [answer.json()["description"] for answer in answers if answer.status_code == 200]
    assert (await socket_client.get(path, headers=ada)).json()["description"] == kept


async def test_agents_can_be_filtered_and_sorted(client, ada):
    for name, model in (("zeta", "gpt-4o"), ("alpha", "gpt-4o"), ("beta", "other")):
        await make(client, ada, name=name, model_name=model)
    answer = await client.get(AGENTS, headers=ada, params={"model_name": "gpt-4o", "sort": "name"})
    assert [item["name"] for item in answer.json()["items"]] == ["alpha", "zeta"]
    assert (await client.get(AGENTS, headers=ada, params={"modelname": "x"})).status_code == 422


async def test_a_list_of_agents_costs_the_same_whatever_its_length(client, ada, agent):
    with query_budget(4) as few:
        await client.get(AGENTS, headers=ada)
    for number in range(12):
        await make(client, ada, name=f"agent-{number:02}", tools=["calculator", "text_statistics"])

    with exact_queries(len(few)), no_repeated_queries():
        answer = await client.get(AGENTS, headers=ada, params={"page_size": 20})

    assert [len(listed["tools"]) for listed in answer.json()["items"]] == [2] * 13


async def test_reading_one_agent_asks_for_the_user_the_agent_and_its_tools(client, ada, agent):
    with exact_queries(3) as queries:
        await client.get(f"{AGENTS}/{agent['id']}", headers=ada)

    assert [query.sql.partition("FROM ")[2].split()[0] for query in queries] == ["users", "agents", "agent_tools"]
    assert "accounts" in queries[0].place
    assert "deepagents" in queries[1].place
