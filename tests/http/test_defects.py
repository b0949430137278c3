"""Whatever breaks, and wherever: one answer, one line, every stage at its end, nothing left behind."""

import asyncio
import json

import anyio
import pytest
from starlette.websockets import WebSocketDisconnect

from mainspring.http import Exchange, RequestId, Stage, exchange_of
from mainspring.observability import current_context

from .conftest import call, hello, scope_of


class Ends(Stage):
    """Counts the ends it sees."""

    def __init__(self):
        self.seen: list[Exchange] = []

    def finish(self, exchange):
        self.seen.append(exchange)


def broken(hook, error=None):
    """A stage that has a defect in one hook."""

    def fails(self, *_):
        raise error or ZeroDivisionError("a secret of the stage")

    return type("Broken", (Stage,), {hook: fails})()


def fails_after(*messages, error):
    async def app(scope, receive, send):
        for message in messages:
            await send(message)
        raise error

    return app


START = {"type": "http.response.start", "status": 200, "headers": []}


class TestStages:
    async def test_a_stage_with_a_defect_is_answered_like_any_other_defect(self, behind, lines):
        ends = Ends()
        answer = await call(behind(ends, RequestId(), broken("request")), scope_of())

        assert (answer.status, json.loads(answer.body)["code"]) == (500, "INTERNAL_ERROR")
        assert b"secret" not in answer.body
        assert answer.headers["x-request-id"] == json.loads(answer.body)["request_id"]
        (line,) = lines(level="error")
        assert line["exception"].endswith("ZeroDivisionError: a secret of the stage")
        assert line["request_id"] == answer.headers["x-request-id"]
        assert [type(exchange.error) for exchange in ends.seen] == [ZeroDivisionError]

    async def test_a_stage_that_breaks_at_the_end_keeps_no_other_from_its_own(self, behind, lines):
        first, last = Ends(), Ends()
        answer = await call(behind(first, broken("finish"), RequestId(), last), scope_of())

        assert (answer.status, answer.body) == (200, b"hello")
        assert len(first.seen) == len(last.seen) == 1
        (line,) = lines(level="error")
        assert "ZeroDivisionError" in line["exception"]
        assert line["request_id"] == answer.headers["x-request-id"]

    async def test_a_stage_that_breaks_on_the_answer_is_told_and_all_end(self, behind, lines):
        ends = Ends()
        answer = await call(behind(ends, broken("response")), scope_of())

        assert answer.messages == []
        assert len(ends.seen) == 1
        assert "ZeroDivisionError" in lines(level="error")[0]["exception"]

    @pytest.mark.parametrize("hook", ["request", "finish"])
    async def test_nothing_of_the_request_is_left_in_the_task(self, behind, lines, hook):
        await call(behind(RequestId(), broken(hook)), scope_of())

        assert current_context() is None

    async def test_a_stage_that_is_cancelled_is_not_swallowed(self, behind):
        ends = Ends()
        with pytest.raises(asyncio.CancelledError):
            await call(behind(ends, broken("request", asyncio.CancelledError())), scope_of())

        assert len(ends.seen) == 1


class TestAnswers:
    @pytest.mark.parametrize("messages", [(), (START,), (START, {"type": "http.response.body", "body": b"x"})])
    async def test_a_defect_is_told_once_at_whatever_point_it_comes(self, behind, lines, messages):
        ends = Ends()
        await call(behind(ends, app=fails_after(*messages, error=RuntimeError("boom"))), scope_of("/x"))

        (line,) = lines(level="error")
        assert line["message"] == "Unhandled exception"
        assert line["extra"] == {"path": "/x", "method": "GET"}
        assert str(ends.seen[0].error) == "boom"

    async def test_causes_in_a_circle_are_told_and_answered(self, behind, lines):
        first, second = RuntimeError("first"), RuntimeError("second")
        first.__cause__, second.__cause__ = second, first
        answer = await call(behind(app=fails_after(error=first)), scope_of())

        assert answer.status == 500
        assert "second" in lines(level="error")[0]["exception"]

    async def test_an_exception_that_cannot_be_shown_is_answered_all_the_same(self, behind, lines):
        class Unshowable(Exception):
            def __str__(self):
                raise RuntimeError("no")

        answer = await call(behind(app=fails_after(error=Unshowable())), scope_of())

        assert answer.status == 500
        assert "Unshowable" in lines(level="error")[0]["exception"]

    async def test_a_path_that_is_no_unicode_is_answered(self, behind, lines):
        scope = scope_of() | {"path": "/\ud800"}
        answer = await call(behind(RequestId(), app=fails_after(error=RuntimeError("boom"))), scope)

        assert (answer.status, json.loads(answer.body)["instance"]) == (500, "/\ud800")

    async def test_an_answer_without_headers_gets_those_of_the_stages(self, behind):
        async def app(scope, receive, send):
            await send({"type": "http.response.start", "status": 204})
            await send({"type": "http.response.body"})

        assert "x-request-id" in (await call(behind(RequestId(), app=app), scope_of())).headers

    async def test_the_applications_own_list_of_headers_is_left_alone(self, behind):
        own: list = []

        async def app(scope, receive, send):
            await send({"type": "http.response.start", "status": 204, "headers": own})
            await send({"type": "http.response.body"})

        pipeline = behind(RequestId(), app=app)
        for _ in range(2):
            await call(pipeline, scope_of())

        assert own == []

    async def test_a_file_that_the_server_sends_by_itself_completes_the_answer(self, behind):
        async def app(scope, receive, send):
            await send(START)
            await send({"type": "http.response.pathsend", "path": "/file"})

        ends = Ends()
        await call(behind(ends, app=app), scope_of())

        assert ends.seen[0].complete

    async def test_no_client_no_answer_and_no_defect(self, behind, lines):
        async def reads(scope, receive, send):
            while (await receive())["type"] == "http.request":
                pass

        ends = Ends()
        answer = await call(behind(ends, app=reads), scope_of())

        assert answer.messages == []
        assert (ends.seen[0].status, ends.seen[0].error) == (0, None)
        assert lines(level="error") == []

    async def test_a_request_that_is_cancelled_after_its_answer_began_ends_for_every_stage(self, behind):
        started = asyncio.Event()

        async def hangs(scope, receive, send):
            await send(START)
            started.set()
            await asyncio.Event().wait()

        ends = Ends()
        task = asyncio.create_task(call(behind(ends, app=hangs), scope_of()))
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

        assert [(e.status, e.complete, e.error) for e in ends.seen] == [(200, False, None)]

    async def test_requests_at_the_same_moment_do_not_share_anything(self, behind):
        async def app(scope, receive, send):
            await asyncio.sleep(0)
            context = current_context()
            assert context is exchange_of(scope).log
            headers = [(b"x-seen", context.request_id.encode())]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body"})

        pipeline = behind(RequestId(), app=app)
        answers = await asyncio.gather(*(call(pipeline, scope_of()) for _ in range(50)))

        assert all(answer.headers["x-seen"] == answer.headers["x-request-id"] for answer in answers)
        assert len({answer.headers["x-seen"] for answer in answers}) == 50


ACCEPT = {"type": "websocket.accept", "headers": []}
CLOSE = {"type": "websocket.close", "code": 1000}


class TestWebSockets:
    async def test_one_that_breaks_is_closed_as_an_internal_error(self, behind, lines):
        answer = await call(behind(app=fails_after(ACCEPT, error=RuntimeError("boom"))), scope_of(kind="websocket"))

        assert answer.messages == [ACCEPT, {"type": "websocket.close", "code": 1011, "reason": "INTERNAL_ERROR"}]
        assert len(lines(level="error")) == 1

    async def test_one_that_breaks_after_its_end_is_not_closed_again(self, behind, lines):
        app = fails_after(ACCEPT, CLOSE, error=RuntimeError("boom"))

        assert (await call(behind(app=app), scope_of(kind="websocket"))).messages == [ACCEPT, CLOSE]
        assert len(lines(level="error")) == 1

    @pytest.mark.parametrize(
        "error",
        [WebSocketDisconnect(1001), anyio.ClosedResourceError(), ExceptionGroup("", [WebSocketDisconnect(1006)])],
    )
    async def test_the_other_side_hanging_up_is_no_defect(self, behind, lines, error):
        ends = Ends()
        answer = await call(behind(ends, app=fails_after(ACCEPT, error=error)), scope_of(kind="websocket"))

        assert answer.messages == [ACCEPT]
        assert ends.seen[0].error is None
        assert lines(level="error") == []

    async def test_the_other_side_hanging_up_before_the_handshake_is_no_defect(self, behind, lines):
        app = fails_after(error=WebSocketDisconnect(1006))

        assert (await call(behind(app=app), scope_of(kind="websocket"))).messages == []
        assert lines(level="error") == []

    async def test_a_server_that_takes_no_close_any_more_does_not_matter(self, behind, lines):
        sent = []

        async def send(message):
            if message["type"] == "websocket.close":
                raise OSError("gone")
            sent.append(message)

        ends = Ends()
        pipeline = behind(ends, app=fails_after(ACCEPT, error=RuntimeError("boom")))
        await pipeline(scope_of(kind="websocket"), None, send)

        assert (sent, len(ends.seen)) == ([ACCEPT], 1)

    async def test_a_stage_with_a_defect_refuses_the_handshake(self, behind, lines):
        answer = await call(behind(broken("request"), app=hello), scope_of(kind="websocket"))

        assert [message["type"] for message in answer.messages] == ["websocket.close"]
        assert len(lines(level="error")) == 1

    async def test_a_refusal_by_response_is_marked_by_the_stages_and_counted(self, behind):
        async def refuses(scope, receive, send):
            await send({"type": "websocket.http.response.start", "status": 403, "headers": []})
            await send({"type": "websocket.http.response.body", "body": b"No."})

        ends = Ends()
        answer = await call(behind(ends, RequestId(), app=refuses), scope_of(kind="websocket"))

        assert "x-request-id" in answer.headers
        assert [(e.status, e.sent, e.complete) for e in ends.seen] == [(403, 3, True)]
