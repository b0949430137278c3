"""The pipeline runs every stage once, whatever happens."""

import asyncio
import json
import logging

import anyio
import pytest
from starlette.requests import ClientDisconnect

from mainspring.errors import BadRequest
from mainspring.http import Reply, Stage

from .conftest import call, hello, scope_of


def recorder(name, journal):
    class Recorder(Stage):
        def request(self, exchange):
            journal.append(f"request {name}")

        def response(self, exchange, headers):
            journal.append(f"response {name}")
            headers.append((b"x-stage", name.encode()))

        def finish(self, exchange):
            journal.append(f"finish {name}")

    return Recorder()


@pytest.fixture
def journal():
    return []


def failing(error):
    async def app(scope, receive, send):
        raise error

    return app


async def test_stages_run_in_order_on_the_way_in_and_in_reverse_on_the_way_out(behind, journal):
    await call(behind(recorder("a", journal), recorder("b", journal)), scope_of())

    assert journal == ["request a", "request b", "response b", "response a", "finish b", "finish a"]


async def test_a_hook_that_is_not_overridden_is_not_run(behind):
    class Silent(Stage):
        pass

    pipeline = behind(Silent())

    assert (pipeline._on_request, pipeline._on_response, pipeline._on_finish) == ([], [], [])


async def test_a_stage_can_answer_in_place_of_the_application_and_the_other_stages_mark_its_answer(behind, journal):
    class Answers(Stage):
        def request(self, exchange):
            return Reply(204, ((b"x-own", b"1"),))

    answer = await call(
        behind(recorder("a", journal), Answers(), recorder("never", journal), app=failing(AssertionError)), scope_of()
    )

    assert (answer.status, answer.headers["x-own"], answer.headers["x-stage"]) == (204, "1", "a")
    assert "request never" not in journal


async def test_an_error_raised_by_a_stage_is_rendered(behind, journal):
    class Refuses(Stage):
        def request(self, exchange):
            raise BadRequest("No.")

    answer = await call(behind(recorder("a", journal), Refuses()), scope_of())

    assert (answer.status, json.loads(answer.body)["detail"]) == (400, "No.")
    assert journal == ["request a", "response a", "finish a"]


async def test_a_head_request_is_answered_without_a_body_and_with_its_length(behind):
    class Refuses(Stage):
        def request(self, exchange):
            raise BadRequest("No.")

    answer = await call(behind(Refuses()), scope_of(method="HEAD"))

    assert answer.body == b""
    assert int(answer.headers["content-length"]) > 0


async def test_an_exception_nobody_took_is_a_500_without_internals_and_told_once(behind, journal, caplog):
    answer = await call(
        behind(recorder("a", journal), app=failing(RuntimeError("the password is hunter2"))), scope_of("/x")
    )

    assert answer.status == 500
    assert b"hunter2" not in answer.body
    assert answer.headers["x-stage"] == "a"
    assert [record.getMessage().partition(" path")[0] for record in caplog.records].count("Unhandled exception") <= 1
    assert len([record for record in caplog.records if record.exc_info]) == 1
    assert journal[-1] == "finish a"


async def test_an_exception_after_the_response_started_is_told_and_not_answered_again(behind, journal, caplog):
    async def breaks_off(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise RuntimeError("half way")

    answer = await call(behind(recorder("a", journal), app=breaks_off), scope_of())

    assert [message["type"] for message in answer.messages] == ["http.response.start"]
    assert "half way" in caplog.text
    assert journal[-1] == "finish a"


@pytest.mark.parametrize(
    "error",
    [
        ClientDisconnect(),
        ExceptionGroup("stream", [anyio.BrokenResourceError()]),
        ExceptionGroup("outer", [ExceptionGroup("inner", [anyio.ClosedResourceError()])]),
    ],
)
async def test_a_client_that_went_away_in_a_stream_is_no_defect(behind, journal, caplog, error):
    async def streams(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise error

    with caplog.at_level(logging.INFO):
        await call(behind(recorder("a", journal), app=streams), scope_of())

    assert caplog.records == []
    assert journal[-1] == "finish a"


async def test_a_broken_stream_with_a_real_defect_in_it_is_told(behind, caplog):
    async def streams(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise ExceptionGroup("stream", [anyio.BrokenResourceError(), ValueError("a real defect")])

    await call(behind(app=streams), scope_of())

    assert "a real defect" in caplog.text


async def test_finish_runs_when_the_request_is_cancelled(behind, journal):
    started = asyncio.Event()

    async def hangs(scope, receive, send):
        started.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(call(behind(recorder("a", journal), app=hangs), scope_of()))
    await started.wait()
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert journal == ["request a", "finish a"]


async def test_finish_runs_when_the_server_refuses_the_answer_which_is_told(behind, journal, caplog):
    async def send(message):
        raise OSError("broken pipe")

    await behind(recorder("a", journal))(scope_of(), None, send)

    assert "broken pipe" in caplog.text
    assert journal[-1] == "finish a"


async def test_lifespan_passes_straight_through(behind, journal):
    seen = []

    async def app(scope, receive, send):
        seen.append(scope["type"])

    await behind(recorder("a", journal), app=app)({"type": "lifespan"}, None, None)

    assert (seen, journal) == (["lifespan"], [])


async def test_the_exchange_counts_what_was_sent_and_whether_it_was_all(behind):
    seen = []

    class Counts(Stage):
        def finish(self, exchange):
            seen.append((exchange.status, exchange.sent, exchange.complete))

    async def in_parts(scope, receive, send):
        await send({"type": "http.response.start", "status": 201, "headers": []})
        await send({"type": "http.response.body", "body": b"ab", "more_body": True})
        if scope["path"] == "/whole":
            await send({"type": "http.response.body", "body": b"c"})

    pipeline = behind(Counts(), app=in_parts)
    await call(pipeline, scope_of("/whole"))
    await call(pipeline, scope_of("/half"))

    assert seen == [(201, 3, True), (201, 2, False)]


class TestWebSockets:
    async def test_an_accepted_one_counts_as_101(self, behind):
        seen = []

        class Notes(Stage):
            def finish(self, exchange):
                seen.append((exchange.status, exchange.complete))

        async def app(scope, receive, send):
            await send({"type": "websocket.accept", "headers": []})
            await send({"type": "websocket.close", "code": 1000})

        await call(behind(Notes(), app=app), scope_of(kind="websocket"))

        assert seen == [(101, True)]

    async def test_a_refusal_before_the_handshake_is_a_close(self, behind):
        class Refuses(Stage):
            def request(self, exchange):
                raise BadRequest("No.")

        answer = await call(behind(Refuses(), app=hello), scope_of(kind="websocket"))

        assert answer.messages == [{"type": "websocket.close", "code": 1008, "reason": ""}]

    async def test_an_exception_before_the_handshake_closes_it_and_is_told(self, behind, caplog):
        answer = await call(behind(app=failing(RuntimeError("boom"))), scope_of(kind="websocket"))

        assert answer.messages[0]["type"] == "websocket.close"
        assert "boom" in caplog.text
