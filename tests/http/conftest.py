"""Applications behind a pipeline, driven over raw ASGI."""

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from mainspring.errors import MainspringError
from mainspring.http import ErrorSeam, Exchange, Pipeline, Stage
from tests.observability.capture import json_lines


@dataclass
class Answer:
    """What a server would have been handed."""

    messages: list[dict] = field(default_factory=list)

    @property
    def status(self) -> int:
        return self.messages[0]["status"]

    @property
    def headers(self) -> dict[str, str]:
        return {name.decode().lower(): value.decode() for name, value in self.messages[0]["headers"]}

    @property
    def body(self) -> bytes:
        return b"".join(m.get("body", b"") for m in self.messages if m["type"] == "http.response.body")


def scope_of(path="/", *, method="GET", headers=(), client=("192.0.2.1", 1234), scheme="http", kind="http"):
    return {
        "type": kind,
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "scheme": scheme,
        "headers": [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers],
        "client": client,
        "server": ("testserver", 80),
        "http_version": "1.1",
    }


async def call(app, scope, *, body=b"") -> Answer:
    answer = Answer()
    sent = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def receive():
        return next(sent, {"type": "http.disconnect"})

    async def send(message):
        answer.messages.append(message)

    await app(scope, receive, send)
    return answer


async def hello(scope, receive, send):
    """The smallest application."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": b"hello"})


@pytest.fixture
def behind() -> Callable[..., Pipeline]:
    """Puts an application behind stages."""
    seam = ErrorSeam()

    def behind(*stages: Stage, app=hello) -> Pipeline:
        return Pipeline(app, stages=stages, render=seam.render)

    return behind


def render(error: MainspringError, exchange: Exchange):
    return ErrorSeam().render(error, exchange)


@pytest.fixture
def lines():
    """Configures JSON logging for the time of a test; gives what is written."""
    with json_lines() as lines:
        yield lines
