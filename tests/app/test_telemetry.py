"""Traces of a whole application, taken by a collector on a real socket."""

import asyncio
import subprocess
import sys
import time
from contextlib import asynccontextmanager

import httpx2
import pytest
from fastapi import APIRouter, BackgroundTasks, WebSocket
from opentelemetry import trace
from pydantic import BaseModel
from sqlalchemy import text

from mainspring.app import composition_of
from mainspring.data import WriteSession
from mainspring.errors import ServiceUnavailable
from mainspring.http import Client
from mainspring.kernel import Module
from mainspring.observability import continue_trace, current_context, current_traceparent, is_traced, span
from mainspring.settings import BootError
from mainspring.testing import running
from tests.observability.capture import json_lines
from tests.observability.collector import listening

PASSWORD, HEADER, QUERY = "p4ssw0rd-in-a-body-9c1", "dG9rZW4taW4tYS1oZWFkZXI", "token-in-a-query-77ab"
SETTING, ROW = "a-secret-setting-that-signs-everything-51c", "v4lue-in-a-row-88d"
TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SAMPLED, UNSAMPLED = f"00-{TRACE}-{CALLER}-01", f"00-{TRACE}-{CALLER}-00"


class Person(BaseModel):
    email: str
    password: str


class Refused(Exception):
    """A defect."""


router = APIRouter()


@router.get("/agents/{agent_id}")
async def agent(agent_id: int) -> dict[str, str | None]:
    with span("think", steps=2):
        return {"trace": current_context().trace_id, "traceparent": current_traceparent()}


@router.get("/reset/{token}")
async def reset(token: str) -> None: ...


@router.post("/people")
async def register(person: Person) -> None:
    raise Refused(f"Cannot keep {person.model_dump()}, {person!r}, password={person.password}")


@router.get("/rows")
async def rows(session: WriteSession) -> None:
    await session.execute(text("CREATE TABLE IF NOT EXISTS things (name TEXT UNIQUE, note TEXT DEFAULT 'it is')"))
    await session.execute(text("SELECT name FROM things WHERE name = :name"), {"name": ROW})


@router.get("/twice")
async def twice(session: WriteSession) -> None:
    await session.execute(text("CREATE TABLE IF NOT EXISTS things (name TEXT UNIQUE)"))
    for _ in range(2):
        await session.execute(text("INSERT INTO things (name) VALUES (:name)"), {"name": ROW})


@router.get("/busy")
async def busy() -> None:
    raise ServiceUnavailable("Later.")


@router.get("/enriched")
async def enriched(work: BackgroundTasks) -> None:
    current = trace.get_current_span()
    current.set_attributes({"shop.basket": 3, "shop.lines": ["a", "b"]})
    current.add_event("priced", {"note": "fine", "api_key": PASSWORD})
    try:
        raise Refused(f"password={PASSWORD}")
    except Refused as error:
        current.record_exception(error)
    # What a library does that traces itself.
    tracer = trace.get_tracer("some.library", "1")
    try:
        with tracer.start_as_current_span("library.call") as inner:
            inner.set_attribute("db.statement", f"SELECT '{ROW}'")
            inner.set_attribute("url.full", f"http://other/path?token={QUERY}")
            inner.set_attribute("http.request.header.authorization", [f"Bearer {HEADER}"])
            raise Refused({"password": PASSWORD})
    except Refused:
        assert current is trace.get_current_span()


@router.websocket("/talk")
async def talk(socket: WebSocket) -> None:
    await socket.accept()
    await socket.close()


@pytest.fixture
def collector():
    with listening() as received:
        yield received


@pytest.fixture
def traced(compose_service, collector):
    """Runs the service of this module, traced; gives a client of it. At the end everything has been sent."""

    @asynccontextmanager
    async def traced(**values):
        values = {"otel_exporter_otlp_endpoint": collector.url, "secret_key": SETTING} | values
        app = compose_service(Module(name="shop", routers=(router,)), api_prefix="", **values)
        async with (
            running(app) as served,
            httpx2.AsyncClient(transport=httpx2.ASGITransport(served), base_url="http://shop.test:8080") as client,
        ):
            yield client

    return traced


class TestTheSpanOfARequest:
    async def test_it_follows_the_conventions_and_names_the_service(self, traced, collector):
        async with traced() as client:
            await client.get("/agents/7", headers={"user-agent": "bench/1"}, params={"token": QUERY})
        request = collector.span("GET /agents/{agent_id}")
        assert request.values == {
            "http.request.method": "GET",
            "http.route": "/agents/{agent_id}",
            "http.response.status_code": 200,
            "url.path": "/agents/7",
            "url.scheme": "http",
            "server.address": "shop.test",
            "server.port": 8080,
            "client.address": "127.0.0.1",
            "network.protocol.version": "1.1",
            "user_agent.original": "bench/1",
        }
        assert request.message.kind == request.message.SPAN_KIND_SERVER
        assert request.resource["service.name"] == "shop"
        assert request.resource["service.version"] == "0.1.0"
        assert request.resource["deployment.environment.name"] == "test"
        assert request.message.start_time_unix_nano < request.message.end_time_unix_nano < time.time_ns()
        assert not request.failed
        assert collector.paths == ["/v1/traces"]

    async def test_log_lines_and_the_span_have_one_trace_id(self, traced, collector):
        with json_lines() as lines:
            async with traced() as client:
                answer = (await client.get("/agents/7", headers={"x-request-id": "named-by-the-client"})).json()
            (access,) = lines(logger="mainspring.access")
        request = collector.span("GET /agents/{agent_id}")
        assert request.trace_id == answer["trace"] == access["trace_id"]
        assert access["request_id"] == "named-by-the-client"

    async def test_it_continues_the_callers_trace(self, traced, collector):
        async with traced() as client:
            answer = await client.get("/agents/7", headers={"traceparent": SAMPLED, "tracestate": "vendor=1"})
        request, inner = collector.span("GET /agents/{agent_id}"), collector.span("think")
        assert (request.trace_id, request.parent_id) == (TRACE, CALLER)
        assert request.message.trace_state == "vendor=1"
        assert request.message.flags & 0x200
        assert (inner.trace_id, inner.parent_id) == (TRACE, request.span_id)
        assert inner.values == {"steps": 2}
        assert answer.json()["traceparent"] == f"00-{TRACE}-{inner.span_id}-01"

    @pytest.mark.parametrize("header", ["nonsense", f"00-{'0' * 32}-{CALLER}-01", f"ff-{TRACE}-{CALLER}-01"])
    async def test_a_malformed_caller_begins_a_new_trace(self, traced, collector, header):
        async with traced() as client:
            await client.get("/agents/7", headers={"traceparent": header})
        assert collector.span("GET /agents/{agent_id}").parent_id == ""

    async def test_paths_that_match_nothing_share_a_name(self, traced, collector):
        async with traced() as client:
            for number in range(3):
                await client.get(f"/nowhere/{number}")
        assert [(span.name, span.values["http.response.status_code"]) for span in collector.spans] == [("GET", 404)] * 3

    async def test_only_what_the_service_is_to_blame_for_is_an_error(self, traced, collector):
        async with traced() as client:
            await client.get("/busy")
            await client.get("/agents/none")
            await client.post("/people", json={"email": "a", "password": "b"})
            await client.request("BREW", "/busy")
        by_status = {span.values["http.response.status_code"]: span for span in collector.spans}
        assert by_status[503].values["error.type"] == "503"
        assert by_status[500].values["error.type"].endswith(".Refused")
        assert by_status[503].failed
        assert by_status[500].failed
        assert not by_status[422].failed
        odd = by_status[405]
        assert (odd.values["http.request.method"], odd.values["http.request.method_original"]) == ("_OTHER", "BREW")
        assert odd.name.startswith("HTTP")

    async def test_a_websocket_has_one_span_for_its_whole_life(self, compose_service, collector):
        app = compose_service(
            Module(name="shop", routers=(router,)), api_prefix="", otel_exporter_otlp_endpoint=collector.url
        )
        said = []

        async def receive():
            return {"type": "websocket.connect"}

        async def send(message):
            said.append(message["type"])

        headers = [(b"host", b"[::1]:8000"), (b"traceparent", SAMPLED.encode())]
        scope = {"type": "websocket", "path": "/talk", "raw_path": b"/talk", "query_string": b"", "scheme": "wss"}
        async with running(app) as served:
            await served(scope | {"headers": headers, "client": None, "subprotocols": []}, receive, send)
        assert said == ["websocket.accept", "websocket.close"]
        talk = collector.span("WS /talk")
        assert talk.trace_id == TRACE
        assert (talk.values["server.address"], talk.values["server.port"]) == ("[::1]", 8000)
        assert talk.values["network.protocol.name"] == "websocket"
        assert not talk.failed

    async def test_probes_are_not_traced(self, traced, collector):
        async with traced() as client:
            await client.get("/health/live")
            await client.get("/health/ready", headers={"traceparent": SAMPLED})
        assert collector.spans == []

    async def test_handlers_and_libraries_say_more_and_nest_below(self, traced, collector):
        async with traced() as client:
            assert (await client.get("/enriched")).status_code == 200
        request, inner = collector.span("GET /enriched"), collector.span("library.call")
        assert request.values["shop.basket"] == 3
        assert [event.name for event in request.message.events] == ["priced", "exception"]
        assert inner.parent_id == request.span_id
        assert inner.scope.name == "some.library"
        assert inner.failed
        for secret in (PASSWORD, HEADER, QUERY, ROW):
            assert secret.encode() not in collector.raw


class TestSampling:
    async def test_what_the_caller_does_not_sample_is_not_recorded_and_neither_are_its_parts(self, traced, collector):
        async with traced() as client:
            answer = (await client.get("/agents/7", headers={"traceparent": UNSAMPLED})).json()
            await client.get("/enriched", headers={"traceparent": UNSAMPLED})
            await client.get("/rows", headers={"traceparent": UNSAMPLED})
        assert collector.bodies == []
        assert answer["trace"] == TRACE
        assert answer["traceparent"].startswith(f"00-{TRACE}-")
        assert answer["traceparent"].endswith("-00")

    async def test_the_ratio_decides_by_the_trace_id_as_the_sdk_does(self, traced, collector):
        async with traced(otel_traces_sampler_arg=0.25) as client:
            kept, left = "f" * 16 + "3fffffffffffffff", "0" * 16 + "4000000000000000"
            for trace_id in (kept, left):
                await client.get("/agents/7", headers={"x-request-id": trace_id})
            await client.get("/busy", headers={"traceparent": SAMPLED})
        assert {span.trace_id for span in collector.spans} == {kept, TRACE}

    async def test_nothing_is_current_after_a_request(self, traced, collector):
        async with traced() as client:
            for header in (SAMPLED, UNSAMPLED):
                await client.get("/agents/7", headers={"traceparent": header})
                assert trace.get_current_span() is trace.INVALID_SPAN
                assert not is_traced()


class TestWhatHangsBelow:
    async def test_statements_are_spans_without_parameters(self, traced, collector):
        async with traced() as client:
            assert (await client.get("/rows")).status_code == 200
        request, select = collector.span("GET /rows"), collector.span("SELECT things")
        assert select.parent_id == request.span_id
        assert select.message.kind == select.message.SPAN_KIND_CLIENT
        assert select.values["db.system.name"] == "sqlite"
        assert select.values["db.query.text"] == "SELECT name FROM things WHERE name = ?"
        assert collector.span("CREATE things").values["db.query.text"].endswith("DEFAULT ?)")
        assert ROW.encode() not in collector.raw

    async def test_a_statement_that_fails_says_how_and_not_with_what(self, traced, collector):
        async with traced() as client:
            assert (await client.get("/twice")).status_code == 409
        first, second = [span for span in collector.spans if span.name == "INSERT things"]
        assert not first.failed
        assert second.failed
        assert second.values["error.type"] == "sqlite3.IntegrityError"
        assert ROW.encode() not in collector.raw

    async def test_calls_to_others_are_spans_and_carry_the_trace(self, traced, collector):
        with listening() as other:
            async with traced() as client, Client() as outbound:
                with continue_trace(SAMPLED, "job fetch"):
                    await outbound.post(f"http://user:{PASSWORD}@127.0.0.1:{other.port}/v1?token={QUERY}", content=b"x")
                    with pytest.raises(httpx2.ConnectError):
                        await outbound.get("http://127.0.0.1:1/")
                    other.status = 404
                    await outbound.post(other.url, content=b"x")
                await client.get("/busy")
        job = collector.span("job fetch")
        done, refused = [span for span in collector.spans if span.name == "POST"]
        lost = collector.span("GET")
        assert {span.parent_id for span in (done, refused, lost)} == {job.span_id}
        assert other.headers[0]["traceparent"] == f"00-{TRACE}-{done.span_id}-01"
        assert done.values["url.full"] == f"http://127.0.0.1:{other.port}/v1"
        assert (refused.values["error.type"], lost.values["error.type"]) == ("404", "httpx2.ConnectError")
        assert not done.failed


class TestJobs:
    async def test_a_job_joins_the_trace_that_asked_for_it(self, traced, collector):
        async with traced() as client:
            payload = (await client.get("/agents/7", headers={"traceparent": SAMPLED})).json()["traceparent"]
            with continue_trace(payload, "job send_mail", request_id="job-1", attempt=2) as context:
                assert (context.request_id, context.trace_id) == ("job-1", TRACE)
                assert current_context() is context
        job = collector.span("job send_mail")
        assert job.trace_id == TRACE
        assert job.parent_id == collector.span("think").span_id
        assert job.message.kind == job.message.SPAN_KIND_CONSUMER
        assert job.values == {"attempt": 2}

    async def test_one_without_a_trace_begins_one(self, traced, collector):
        async with traced():
            with pytest.raises(Refused), continue_trace(None, "job sweep") as context:
                raise Refused(PASSWORD)
        job = collector.span("job sweep")
        assert job.trace_id == context.trace_id
        assert job.failed
        assert job.values["error.type"].endswith(".Refused")
        assert PASSWORD.encode() not in collector.raw


class TestSecrets:
    async def test_no_secret_is_in_any_byte_that_is_sent(self, traced, collector):
        person = {"email": "ada@example.com", "password": PASSWORD}
        bearer = {"authorization": f"Bearer {HEADER}", "cookie": f"session={HEADER}", "x-api-key": HEADER}
        async with traced() as client:
            answers = [
                await client.post("/people", json=person, headers=bearer),
                await client.post("/people", json={"email": 7, "password": {"nested": PASSWORD}}, headers=bearer),
                await client.get("/agents/x", params={"token": QUERY}, headers=bearer),
                await client.get(f"/reset/{QUERY}"),
                await client.get("/twice", params={"api_key": QUERY}),
                await client.get("/enriched"),
            ]
        assert {answer.status_code for answer in answers} == {200, 409, 422, 500}
        assert len(collector.spans) > len(answers)
        assert collector.span("GET /reset/{token}").values["url.path"] == "/reset/{token}"
        for secret in (PASSWORD, HEADER, QUERY, SETTING, ROW):
            assert secret.encode() not in collector.raw


class TestSettings:
    def test_what_is_told_to_others_is_explained(self, compose_service):
        app = compose_service(otel_exporter_otlp_endpoint="http://collector:4318", sentry_dsn="http://key@sentry/1")
        stages = {stage.name: stage for stage in composition_of(app).stages}
        assert "over 5 µs if sampled" in stages["tracing"].cost
        assert "Sentry" in stages["error-reports"].purpose
        assert "trace-context" not in stages

    def test_without_an_endpoint_nothing_of_the_sdk_is_imported(self, tmp_path):
        program = """
import sys
from mainspring.app import create_app
from mainspring.settings import Settings
app = create_app("shop", settings=Settings(environment="test"))
print([name for name in sys.modules if name.startswith(("opentelemetry.sdk", "opentelemetry.exporter", "sentry_sdk"))])
print([stage.name for stage in app.stages])
"""
        said = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
        modules, stages = said.stdout.splitlines()
        assert modules == "[]"
        assert "trace-context" in stages
        assert "tracing" not in stages

    @pytest.mark.parametrize(
        ("key", "value", "extra", "module"),
        [
            ("otel_exporter_otlp_endpoint", "http://127.0.0.1:4318", "otel", "opentelemetry.sdk"),
            ("sentry_dsn", "https://key@127.0.0.1/1", "sentry", "sentry_sdk"),
        ],
    )
    def test_a_missing_extra_is_one_problem_that_names_it(
        self, compose_service, monkeypatch, key, value, extra, module
    ):
        monkeypatch.setitem(sys.modules, module, None)
        monkeypatch.setenv(key.upper(), value)
        with pytest.raises(BootError) as raised:
            compose_service()
        (problem,) = raised.value.problems
        assert f"mainspring[{extra}]" in str(problem)
        assert (problem.key, problem.source) == (key.upper(), "environment")

    @pytest.mark.parametrize("endpoint", ["collector:4317", "grpc://collector:4317"])
    def test_an_endpoint_that_is_none_is_refused(self, compose_service, endpoint):
        with pytest.raises(BootError, match="no HTTP address"):
            compose_service(otel_exporter_otlp_endpoint=endpoint)

    async def test_headers_are_sent_along_and_malformed_ones_refused(self, traced, collector, compose_service):
        async with traced(otel_exporter_otlp_headers="authorization=Bearer%20abc, x-team = shop") as client:
            await client.get("/busy")
        assert collector.headers[0]["authorization"] == "Bearer abc"
        assert collector.headers[0]["x-team"] == "shop"
        with pytest.raises(BootError, match="malformed"):
            compose_service(otel_exporter_otlp_endpoint=collector.url, otel_exporter_otlp_headers="nonsense")

    async def test_it_can_be_switched_off(self, traced, collector):
        async with traced(otel_sdk_disabled=True) as client:
            assert (await client.get("/agents/7")).json()["trace"]
        assert collector.bodies == []


class TestTheCollector:
    async def test_one_that_is_down_neither_fails_nor_delays_anything(self, traced, collector):
        began = time.monotonic()
        async with traced(otel_exporter_otlp_endpoint="http://127.0.0.1:1") as client:
            for _ in range(20):
                assert (await client.get("/agents/7")).status_code == 200
            served = time.monotonic()
        assert served - began < 5
        assert time.monotonic() - served < 12

    async def test_one_that_hangs_does_not_hold_up_the_end_for_long(self, traced, collector):
        collector.held.clear()
        async with traced() as client:
            await client.get("/agents/7")
            ending = time.monotonic()
        assert time.monotonic() - ending < 12
        collector.held.set()

    async def test_an_application_that_comes_after_another_has_its_own_spans(self, traced, collector):
        for number in range(2):
            async with traced() as client:
                await client.get("/enriched")
            assert len([span for span in collector.spans if span.name == "library.call"]) == number + 1
        with trace.get_tracer("some.library").start_as_current_span("nobody's"):
            await asyncio.sleep(0)
        assert not any(span.name == "nobody's" for span in collector.spans)
