"""Executions over HTTP, on SQLite and on PostgreSQL."""

import asyncio
import json
from collections.abc import AsyncGenerator
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select, update

from deepagents.agents import Agent
from deepagents.executions import Execution, ExecutionService
from mainspring.ai import Completion, CompletionRequest, Message, ModelUnavailable, Provider, TextDelta, Usage
from mainspring.data import including_deleted
from mainspring.kernel import Resource

API = "/api/v1"
QUESTION = "what is 17 % of 2,340, and how many words has this sentence?"


def events_of(text: str) -> list[tuple[str, dict]]:
    found = []
    for block in text.split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line)
        if "data" in lines:
            found.append((lines["event"], json.loads(lines["data"])))
    return found


class StandIn:
    """A provider that does what a test tells it."""

    name = "stand-in"
    is_model = True

    def __init__(self, behave):
        self._behave = behave
        self.requests: list[CompletionRequest] = []

    async def complete(self, request: CompletionRequest) -> AsyncGenerator[TextDelta | Completion]:
        self.requests.append(request)
        async for item in self._behave():
            yield item

    async def ping(self) -> None:
        pass

    async def aclose(self) -> None:
        pass


def provided(stand_in):
    async def make(_):
        return stand_in

    return Resource(provides=Provider, name="provider", make=make)


async def answer_with_usage():
    yield TextDelta("Hello")
    yield Completion(Message("assistant", "Hello \x00 you"), Usage(12, 3, "provider"), "model-7", "stop")


async def fail():
    yield TextDelta("Hel")
    raise ModelUnavailable("The model is out of reach.")


async def test_an_answer_comes_with_its_whole_trace(client, ada, agent):
    answer = await client.post(f"{API}/agents/{agent['id']}/executions", headers=ada, json={"input": QUESTION})

    execution = answer.json()
    assert answer.status_code == 201
    assert (execution["status"], execution["outcome"], execution["error"]) == ("completed", "completed", None)
    assert "397.8" in execution["output"]
    assert [(step["seq"], step["kind"]) for step in execution["steps"]] == [
        (1, "model"),
        (2, "tool"),
        (3, "tool"),
        (4, "model"),
    ]
    assert execution["steps"][1]["output"]["result"] == "397.8"
    assert execution["steps"][2]["output"]["words"] == 12


async def test_tokens_that_nobody_counted_are_null_and_never_a_guess(client, ada, agent):
    execution = (
        await client.post(f"{API}/agents/{agent['id']}/executions", headers=ada, json={"input": QUESTION})
    ).json()

    assert (execution["input_tokens"], execution["output_tokens"]) == (None, None)
    assert {step["output_tokens"] for step in execution["steps"]} == {None}


async def test_the_stream_tells_the_same_as_the_stored_trace(client, ada, agent):
    url = f"{API}/agents/{agent['id']}/executions/stream"
    events = events_of((await client.post(url, headers=ada, json={"input": QUESTION})).text)

    stored = (await client.get(f"{API}/executions/{events[0][1]['execution_id']}", headers=ada)).json()
    streamed_text = "".join(data["text"] for name, data in events if name == "text.delta")
    streamed_steps = [(data["seq"], data["name"]) for name, data in events if name == "step.completed"]
    assert [name for name, _ in events][:2] == ["execution.started", "step.started"]
    assert (stored["status"], stored["output"]) == ("completed", streamed_text)
    assert sorted(streamed_steps) == [(step["seq"], step["name"]) for step in stored["steps"]]


async def test_executions_are_listed_newest_first_without_their_traces(client, ada, agent):
    url = f"{API}/agents/{agent['id']}/executions"
    for text in ("1 + 1", "2 + 2", "3 + 3"):
        await client.post(url, headers=ada, json={"input": text})

    page = (await client.get(url, headers=ada, params={"page_size": 2})).json()

    assert [item["input"] for item in page["items"]] == ["3 + 3", "2 + 2"]
    assert (page["total"], page["pages"]) == (3, 2)
    assert "steps" not in page["items"][0]


@pytest.mark.parametrize("text", ["", "\x00", "x" * 20_001, None, 7])
async def test_a_message_that_cannot_be_stored_is_422_and_starts_nothing(client, ada, agent, text):
    for url in (f"{API}/agents/{agent['id']}/executions", f"{API}/agents/{agent['id']}/executions/stream"):
        assert (await client.post(url, headers=ada, json={"input": text})).status_code == 422
    assert (await client.get(f"{API}/agents/{agent['id']}/executions", headers=ada)).json()["total"] == 0


async def test_an_agent_that_is_switched_off_answers_409(client, ada, agent):
    await client.patch(f"{API}/agents/{agent['id']}", headers=ada, json={"is_active": False})

    for url in (f"{API}/agents/{agent['id']}/executions", f"{API}/agents/{agent['id']}/executions/stream"):
        answer = await client.post(url, headers=ada, json={"input": "hi"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "CONFLICT")


async def test_another_persons_execution_does_not_exist(client, ada, bob, agent):
    execution = (await client.post(f"{API}/agents/{agent['id']}/executions", headers=ada, json={"input": "1+1"})).json()

    for execution_id in (execution["id"], uuid4()):
        assert (await client.get(f"{API}/executions/{execution_id}", headers=bob)).status_code == 404


class TestWithAModel:
    @pytest.fixture
    def model(self):
        return StandIn(answer_with_usage)

    @pytest.fixture
    def resources(self, resources, model):
        return [*resources, provided(model)]

    async def test_reported_tokens_and_the_answering_model_are_kept(self, client, ada, agent):
        execution = (
            await client.post(f"{API}/agents/{agent['id']}/executions", headers=ada, json={"input": "hi"})
        ).json()

        assert (execution["input_tokens"], execution["output_tokens"], execution["model"]) == (12, 3, "model-7")

    async def test_what_no_database_stores_is_replaced_in_the_answer(self, client, ada, agent):
        url = f"{API}/agents/{agent['id']}/executions"
        execution = (await client.post(url, headers=ada, json={"input": "hi"})).json()

        assert execution["output"] == "Hello \N{REPLACEMENT CHARACTER} you"

    async def test_the_model_is_asked_as_the_agent_says(self, client, ada, model):
        new = {"name": "poet", "model_name": "big", "system_prompt": "Rhyme.", "max_tokens": 200}
        new |= {"config": {"temperature": 0.5}, "tools": ["date_time"]}
        agent = (await client.post(f"{API}/agents", headers=ada, json=new)).json()

        await client.post(f"{API}/agents/{agent['id']}/executions", headers=ada, json={"input": "hi"})

        (request,) = model.requests
        assert (request.model, request.max_tokens, request.temperature) == ("big", 200, 0.5)
        assert [(message.role, message.content) for message in request.messages] == [
            ("system", "Rhyme."),
            ("user", "hi"),
        ]
        assert [tool.name for tool in request.tools] == ["date_time"]


class TestWithAFailingModel:
    @pytest.fixture
    def resources(self, resources):
        return [*resources, provided(StandIn(fail))]

    async def test_the_failure_is_kept_with_what_came_before_it(self, client, ada, agent):
        url = f"{API}/agents/{agent['id']}/executions"
        execution = (await client.post(url, headers=ada, json={"input": "hi"})).json()

        assert (execution["status"], execution["outcome"], execution["output"]) == ("failed", "failed", "Hel")
        assert execution["error"] == {"code": "MODEL_UNAVAILABLE", "message": "The model is out of reach."}

    async def test_the_stream_ends_with_the_failure(self, client, ada, agent):
        url = f"{API}/agents/{agent['id']}/executions/stream"
        events = events_of((await client.post(url, headers=ada, json={"input": "hi"})).text)

        assert events[-1][0] == "execution.failed"
        assert events[-1][1]["error"]["code"] == "MODEL_UNAVAILABLE"


class TestWithASlowModel:
    @pytest.fixture
    def model(self):
        async def think():
            yield TextDelta("Let me think")
            await asyncio.Event().wait()

        return StandIn(think)

    @pytest.fixture
    def resources(self, resources, model):
        return [*resources, provided(model)]

    async def test_a_client_that_goes_away_cancels_the_run_and_the_record_says_so(
        self, app, fresh_database, socket_client
    ):
        credentials = {"password": "correct horse battery staple", "password_confirm": "correct horse battery staple"}
        await socket_client.post(f"{API}/users", json={"email": "ada@example.com", **credentials})
        form = {"username": "ada@example.com", "password": credentials["password"]}
        token = (await socket_client.post(f"{API}/auth/login", data=form)).json()["access_token"]
        ada = {"authorization": f"Bearer {token}"}
        new = {"name": "thinker", "model_name": "slow"}
        agent = (await socket_client.post(f"{API}/agents", headers=ada, json=new)).json()
        url = f"{API}/agents/{agent['id']}/executions/stream"

        async with socket_client.stream("POST", url, headers=ada, json={"input": "hi"}) as answer:
            async for line in answer.aiter_lines():
                if "Let me think" in line:
                    break

        async with asyncio.timeout(10):
            while True:
                (run,) = (await socket_client.get(url.removesuffix("/stream"), headers=ada)).json()["items"]
                if run["status"] != "running":
                    break
                await asyncio.sleep(0.02)
        assert (run["status"], run["outcome"]) == ("cancelled", "cancelled")
        assert run["finished_at"] is not None


async def test_a_run_that_a_crash_left_behind_is_shown_as_interrupted(client, ada, agent, database, frozen_clock):
    made = (await client.post(f"{API}/agents/{agent['id']}/executions", headers=ada, json={"input": "1 + 1"})).json()
    long_ago = frozen_clock.now() - timedelta(hours=1)
    async with database.write() as session:
        left = update(Execution).where(Execution.id == UUID(made["id"]))
        await session.execute(left.values(status="running", created_at=long_ago, outcome=None, finished_at=None))

    shown = (await client.get(f"{API}/executions/{made['id']}", headers=ada)).json()

    assert (shown["status"], shown["outcome"]) == ("failed", "interrupted")
    assert shown["error"]["code"] == "EXECUTION_INTERRUPTED"


async def test_a_deleted_agents_executions_stay_in_the_database(client, ada, agent, database):
    await client.post(f"{API}/agents/{agent['id']}/executions", headers=ada, json={"input": "1 + 1"})
    await client.delete(f"{API}/agents/{agent['id']}", headers=ada)

    async with database.read() as session:
        assert len(list(await session.scalars(select(Execution)))) == 1
        (deleted,) = await session.scalars(select(Agent), execution_options=including_deleted())
    assert deleted.deleted_at is not None


async def test_the_service_is_one_resource_of_the_application(app, client):
    assert app.registry.get(ExecutionService).provider is app.registry.get(Provider)
