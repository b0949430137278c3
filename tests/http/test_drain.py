"""The end of what is in flight, message by message."""

import asyncio

import pytest

from mainspring.http import Drain, ErrorSeam, Pipeline

from .conftest import Answer, call, hello, scope_of


async def until(done):
    async with asyncio.timeout(5):
        while not done():
            await asyncio.sleep(0.01)


class Served:
    """One request to an application behind a draining pipeline."""

    def __init__(self, app, scope):
        self.drain = Drain()
        self.answer = Answer()
        pipeline = Pipeline(app, stages=[self.drain], render=ErrorSeam().render)
        self.drain.watch(pipeline)
        self.task = asyncio.ensure_future(pipeline(scope, self._receive, self._send))
        self._incoming = asyncio.Queue()
        if scope["type"] == "websocket":
            self._incoming.put_nowait({"type": "websocket.connect"})

    @property
    def bodies(self):
        return [m["body"] for m in self.answer.messages if m["type"] == "http.response.body"]

    async def _receive(self):
        return await self._incoming.get()

    async def _send(self, message):
        self.answer.messages.append(message)
        if message["type"] == "websocket.close":
            self._incoming.put_nowait({"type": "websocket.disconnect", "code": message["code"]})


def streaming(*pieces, kind="text/event-stream", headers=()):
    """Sends the pieces, one per turn of the returned event, then goes on for ever."""
    more = asyncio.Semaphore(1)

    async def app(scope, receive, send):
        names = [(b"content-type", kind.encode()), *headers]
        await send({"type": "http.response.start", "status": 200, "headers": names})
        for piece in pieces:
            await more.acquire()
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await asyncio.Event().wait()

    return app, more


async def test_answers_say_close_from_the_moment_on_and_not_before(behind):
    drain = Drain()
    pipeline = behind(drain)

    before = await call(pipeline, scope_of())
    drain.leave(ending=False)
    after = await call(pipeline, scope_of())
    second = await call(pipeline, scope_of() | {"http_version": "2"})

    assert "connection" not in before.headers
    assert after.headers["connection"] == "close"
    assert "connection" not in second.headers  # RFC 9113, section 8.2.2
    assert (drain.leaving, drain.ending) == (True, False)


async def test_once_the_service_ends_it_stays_so_whatever_is_said_later():
    drain = Drain()
    drain.leave(ending=True)
    drain.leave(ending=False)

    assert drain.ending


async def test_under_a_server_that_never_asked_there_is_nothing_to_do():
    drain = Drain()
    drain.send_home()
    await drain.give_up()

    assert not drain.busy


class TestEventStreams:
    @pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n", b"\r\r"])
    async def test_one_ends_after_a_whole_event_with_a_hint(self, end):
        app, _ = streaming(b"data: 1" + end)
        served = Served(app, scope_of("/events"))
        await until(lambda: served.bodies)
        served.drain.send_home()
        await until(served.task.done)

        assert served.bodies[-1].startswith(b"retry: ")
        assert served.bodies[-1].endswith(b"\n\n")
        assert not served.answer.messages[-1]["more_body"]

    async def test_one_that_is_in_the_middle_of_an_event_is_left_to_finish_it(self):
        app, more = streaming(b"data: 1", b"\n", b"\n")
        served = Served(app, scope_of("/events"))
        for sent in (1, 2):
            await until(lambda: len(served.bodies) == sent)  # noqa: B023 -- awaited within the turn
            served.drain.send_home()
            await asyncio.sleep(0)
            assert not served.task.done()
            more.release()
        await until(lambda: len(served.bodies) == 3)
        served.drain.send_home()
        await until(served.task.done)

        assert b"".join(served.bodies[:3]) == b"data: 1\n\n"
        assert served.bodies[3].startswith(b"retry: ")

    async def test_one_that_never_comes_to_the_end_of_its_event_is_cut_there_and_ends_in_good_order(self):
        app, _ = streaming(b"data: 1")
        served = Served(app, scope_of("/events"))
        await until(lambda: served.bodies)
        await served.drain.give_up()

        assert served.task.done()
        assert served.answer.messages[-1] == {"type": "http.response.body", "body": b"", "more_body": False}

    @pytest.mark.parametrize(
        ("kind", "headers"),
        [("application/jsonl", ()), ("text/event-stream", [(b"content-encoding", b"br")])],
    )
    async def test_nothing_is_written_into_streams_of_another_kind(self, kind, headers):
        app, _ = streaming(b"1\n\n", kind=kind, headers=headers)
        served = Served(app, scope_of("/lines"))
        await until(lambda: served.bodies)
        served.drain.send_home()
        await asyncio.sleep(0.05)

        assert not served.task.done()
        assert served.bodies == [b"1\n\n"]
        await served.drain.give_up()
        assert served.task.done()


class TestWebSockets:
    async def test_one_is_closed_with_service_restart_and_what_it_sends_afterwards_tells_it_so(self):
        said = []

        async def app(scope, receive, send):
            await send({"type": "websocket.accept"})
            try:
                while True:
                    await send({"type": "websocket.send", "text": "tick"})
                    await asyncio.sleep(0.01)
            except OSError as error:
                said.append(str(error))
                raise

        served = Served(app, scope_of("/ws", kind="websocket"))
        await until(lambda: len(served.answer.messages) > 2)
        served.drain.send_home()
        await until(served.task.done)

        assert [m["code"] for m in served.answer.messages if m["type"] == "websocket.close"] == [1012]
        assert said == ["The WebSocket is closed."]

    async def test_one_whose_handshake_is_under_way_is_closed_after_it(self):
        accept = asyncio.Event()

        async def app(scope, receive, send):
            await accept.wait()
            await send({"type": "websocket.accept"})
            await receive()
            await receive()

        served = Served(app, scope_of("/ws", kind="websocket"))
        await until(lambda: served.drain.busy)
        served.drain.send_home()
        await asyncio.sleep(0)
        assert served.answer.messages == []
        accept.set()
        await until(lambda: served.answer.messages)
        served.drain.send_home()
        await until(served.task.done)

        assert served.answer.messages[-1]["code"] == 1012


class TestGivingUp:
    async def test_who_has_no_answer_yet_gets_one_and_the_work_is_cancelled(self, lines):
        ended = []

        async def app(scope, receive, send):
            try:
                await asyncio.Event().wait()
            finally:
                ended.append(True)

        served = Served(app, scope_of("/slow"))
        await until(lambda: served.drain.busy)
        await served.drain.give_up()

        assert served.answer.status == 503
        assert ended == [True]
        assert not served.drain.busy
        (line,) = lines(level="warning")
        assert line["message"] == "Still running at the end of the drain; cancelled"

    async def test_work_after_the_answer_is_cancelled_without_another_answer(self, lines):
        async def app(scope, receive, send):
            await hello(scope, receive, send)
            await asyncio.Event().wait()

        served = Served(app, scope_of("/later"))
        await until(lambda: served.bodies)
        served.drain.send_home()
        assert served.drain.busy
        await served.drain.give_up()

        assert served.bodies == [b"hello"]
        assert lines(level="warning")[0]["extra"]["answered"] is True

    async def test_work_that_will_not_be_cancelled_does_not_hold_up_the_end(self, lines):
        release = asyncio.Event()

        async def app(scope, receive, send):
            while not release.is_set():
                try:
                    await release.wait()
                except asyncio.CancelledError:
                    continue

        served = Served(app, scope_of("/stubborn"))
        await until(lambda: served.drain.busy)
        async with asyncio.timeout(5):
            await served.drain.give_up()

        assert served.drain.busy
        release.set()
        await served.task
