"""What a service under load writes: JSON on every line, a request id on every line of a request, no secret anywhere;
and what it tells its collector: a span per request, no secret either.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

from tests.observability.collector import listening

from .service import STOP_SECONDS, clean_environment

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

BODY_SECRET = "p4ssw0rd-in-a-body-9c1"
HEADER_SECRET = "eyJhbGciOiJub25lIn0.dG9rZW4taW4tYS1oZWFkZXI.c2ln"
QUERY_SECRET = "token-in-a-query-77ab"
SETTING_SECRET = "a-secret-setting-that-signs-everything-51c"
SECRETS = (BODY_SECRET, HEADER_SECRET, QUERY_SECRET, SETTING_SECRET)
CLIENTS, ROUNDS = 8, 25


@pytest.fixture
def collector():
    with listening() as received:
        yield received


@pytest.fixture
def served(tmp_path, collector):
    """DeepAgents with JSON logs in a file, traced; gives its process and the file."""
    log = tmp_path / "service.log"
    environment = clean_environment(
        SECRET_KEY=SETTING_SECRET,
        LOG_FORMAT="json",
        LOG_LEVEL="DEBUG",
        ENVIRONMENT="development",
        MAIL_URL="folder:mail",
        OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
    )
    command = [str(Path(sys.executable).parent / "mainspring"), "--app", "deepagents.app:build", "serve", "--port", "0"]
    with log.open("wb") as out:
        process = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=out, stderr=subprocess.STDOUT)
    try:
        yield process, log
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(STOP_SECONDS)


async def until_ready(process, log):
    async with asyncio.timeout(40):
        while process.poll() is None:
            for line in log.read_text().splitlines():
                if '"Ready"' in line and line.endswith("}"):
                    return json.loads(line)["extra"]["url"]
            await asyncio.sleep(0.05)
    pytest.fail(log.read_text())


async def load(url):
    """What goes well and what goes wrong, all with secrets in it; the answers."""
    person = {"email": "ada@example.com", "password": BODY_SECRET, "password_confirm": BODY_SECRET}
    bearer = {"Authorization": f"Bearer {HEADER_SECRET}", "Cookie": f"session={HEADER_SECRET}"}
    answers = []

    async def one(client):
        for _ in range(ROUNDS):
            answers.extend(
                [
                    await client.get("/health/live"),
                    await client.get("/api/v1/agents", headers=bearer),
                    await client.get(f"/api/v1/agents?token={QUERY_SECRET}"),
                    await client.post("/api/v1/users", json=person | {"email": "no address"}),
                    await client.post(
                        "/api/v1/users", json={"password": BODY_SECRET, "extra": {"api_key": BODY_SECRET}}
                    ),
                    await client.post("/api/v1/auth/token/refresh", json={"refresh_token": BODY_SECRET}),
                    await client.get("/nowhere"),
                ]
            )

    async with httpx2.AsyncClient(base_url=url, timeout=30) as client:
        answers.append(await client.post("/api/v1/users", json=person))
        form = {"username": "ada@example.com", "password": BODY_SECRET}
        signed_in = await client.post("/api/v1/auth/login", data=form)
        assert signed_in.status_code == 200
        await asyncio.gather(*(one(client) for _ in range(CLIENTS)))
    return answers, signed_in.json()["access_token"]


@pytest.mark.timeout(120)
async def test_every_line_is_json_and_names_its_request_and_no_secret_gets_out(served, collector):
    process, log = served
    answers, token = await load(await until_ready(process, log))
    process.send_signal(signal.SIGTERM)
    await asyncio.to_thread(process.wait, STOP_SECONDS)

    text = log.read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    access = [line for line in lines if line["logger"] == "mainspring.access"]
    assert len(access) == len(answers) + 1
    assert {answer.headers["x-request-id"] for answer in answers} < {line["request_id"] for line in access}
    assert all({"timestamp", "level", "message", "module", "function", "line"} <= line.keys() for line in lines)
    of_requests = [line for line in lines if line["logger"] in {"mainspring.access", "mainspring.accounts"}]
    assert all(line["request_id"] and line["trace_id"] for line in of_requests)
    requests = [span for span in collector.spans if span.message.kind == span.message.SPAN_KIND_SERVER]
    traced = {line["trace_id"] for line in access if not line["extra"]["path"].startswith("/health")}
    assert {span.trace_id for span in requests} == traced
    assert len(collector.spans) > len(requests) > 1000
    for secret in (*SECRETS, token):
        assert secret not in text
        assert secret.encode() not in collector.raw
        assert not any(secret in answer.text for answer in answers)
    assert {answer.status_code for answer in answers} == {200, 201, 401, 404, 422}
    assert process.returncode == os.EX_OK
