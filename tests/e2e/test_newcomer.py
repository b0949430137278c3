"""A newcomer's first quarter of an hour, over a real socket."""

import json
import re
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

from .service import clean_environment, running

pytestmark = pytest.mark.e2e

QUESTION = "what is 17 % of 2,340, and how many words has this sentence?"
PASSWORD = "correct horse battery staple"


def register_and_sign_in(client: httpx2.Client, api: str) -> dict[str, str]:
    person = {"email": "ada@example.com", "password": PASSWORD, "password_confirm": PASSWORD}
    assert client.post(f"{api}/users", json=person).status_code == 201
    return sign_in(client, api)


def sign_in(client: httpx2.Client, api: str) -> dict[str, str]:
    answer = client.post(f"{api}/auth/login", data={"username": "ada@example.com", "password": PASSWORD})
    assert answer.status_code == 200, answer.text
    return {"authorization": f"Bearer {answer.json()['access_token']}"}


def streamed(client: httpx2.Client, url: str, headers: dict[str, str], text: str) -> list[tuple[str, dict]]:
    events: list[tuple[str, dict]] = []
    with client.stream("POST", url, headers=headers, json={"input": text}) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        name = ""
        for line in answer.iter_lines():
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data: "):
                events.append((name, json.loads(line.removeprefix("data: "))))
    return events


def test_register_make_an_agent_ask_it_and_find_everything_again_after_a_restart(tmp_path, client):
    with running(tmp_path) as service:
        api = f"{service.url}/api/v1"
        me = register_and_sign_in(client, api)
        new = {"name": "Helper", "model_name": "scripted", "tools": ["calculator", "text_statistics"]}
        agent = client.post(f"{api}/agents", headers=me, json=new).json()

        events = streamed(client, f"{api}/agents/{agent['id']}/executions/stream", me, QUESTION)

        called = [data["name"] for name, data in events if name == "tool.called"]
        text = "".join(data["text"] for name, data in events if name == "text.delta")
        last, ended = events[-1]
        assert called == ["calculator", "text_statistics"]
        assert "397.8" in text
        assert "12 words" in text
        assert "No language model" in text
        assert (last, ended["status"], ended["output"]) == ("execution.completed", "completed", text)
        assert service.stop() == 0

    with running(tmp_path) as service:
        api = f"{service.url}/api/v1"
        me = sign_in(client, api)
        (found,) = client.get(f"{api}/agents", headers=me).json()["items"]
        (run,) = client.get(f"{api}/agents/{agent['id']}/executions", headers=me).json()["items"]
        trace = client.get(f"{api}/executions/{run['id']}", headers=me).json()["steps"]
        assert found["id"] == agent["id"]
        assert (run["status"], run["output"]) == ("completed", text)
        assert [step["name"] for step in trace if step["kind"] == "tool"] == ["calculator", "text_statistics"]
        assert service.stop() == 0


def test_the_banner_says_where_to_look_and_how_to_stop(tmp_path):
    with running(tmp_path) as service:
        assert service.stop() == 0

    printed = "".join(service.output)
    assert f"{service.url}/docs" in printed
    assert "Ctrl-C" in printed
    assert "Traceback" not in printed


def test_a_killed_service_finds_its_data_again(tmp_path, client):
    with running(tmp_path) as service:
        api = f"{service.url}/api/v1"
        me = register_and_sign_in(client, api)
        answer = client.post(f"{api}/agents", headers=me, json={"name": "survivor", "model_name": "scripted"})
        assert answer.status_code == 201
        service.kill()

    with running(tmp_path) as service:
        api = f"{service.url}/api/v1"
        names = [agent["name"] for agent in client.get(f"{api}/agents", headers=sign_in(client, api)).json()["items"]]
        assert names == ["survivor"]


def test_production_with_nothing_set_does_not_start_and_one_report_lists_every_problem(tmp_path):
    done = subprocess.run(
        [str(Path(sys.executable).parent / "mainspring"), "--app", "deepagents.app:build", "serve"],
        cwd=tmp_path,
        env=clean_environment(ENVIRONMENT="production"),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 78
    assert re.findall(r"^  \d+\. (\w+)", done.stderr, re.MULTILINE) == [
        "SECRET_KEY",
        "ALLOWED_HOSTS",
        "DATABASE_URL",
        "AI_PROVIDER",
        "MAIL_URL",
    ]
    assert done.stderr.count("Fix: ") == 5
    assert "Traceback" not in done.stderr
