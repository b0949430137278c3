"""A request whose time is up is answered 504, and its work is cancelled."""

import asyncio
import time

import httpx2
import pytest
from fastapi import BackgroundTasks, FastAPI
from fastapi.responses import StreamingResponse
from hypothesis import given
from hypothesis import strategies as st

from mainspring.http import Cors, ErrorSeam, Pipeline, RequestId, deadline

SOON = 0.05


@pytest.fixture
def app():
    return FastAPI()


def served(app, timeout=SOON, form="problem"):
    seam = ErrorSeam(form)
    seam.install(app)
    stages = [RequestId(), Cors(["https://app.example.com"], credentials=False)]
    return Pipeline(app, stages=stages, render=seam.render, timeout=timeout)


async def ask(pipeline, path="/x", **options):
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(pipeline), base_url="http://testserver") as client:
        return await client.get(path, **options)


class TestTheAnswer:
    async def test_it_is_504_in_our_form_with_everything_that_stages_add(self, app, lines):
        @app.get("/x")
        async def x() -> None:
            await asyncio.sleep(30)

        answer = await ask(served(app), headers={"Origin": "https://app.example.com", "X-Request-ID": "request-one"})

        assert answer.status_code == 504
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["access-control-allow-origin"] == "https://app.example.com"
        assert (answer.json()["code"], answer.json()["request_id"]) == ("DEADLINE_EXCEEDED", "request-one")
        (line,) = lines(level="warning")
        assert (line["message"], line["request_id"]) == ("Deadline exceeded", "request-one")
        assert line["extra"] == {"route": "/x", "seconds": SOON}
        assert lines(level="error") == []

    async def test_work_in_time_is_not_disturbed(self, app):
        @app.get("/x")
        async def x() -> str:
            return "in time"

        assert (await ask(served(app, timeout=30))).json() == "in time"


class TestTheWork:
    async def test_it_is_cancelled_with_its_clean_up_done(self, app):
        seen = []

        @app.get("/x")
        async def x() -> None:
            try:
                await asyncio.sleep(30)
            except asyncio.CancelledError:
                seen.append("cancelled")
                raise
            finally:
                seen.append("cleaned up")

        pipeline = served(app)
        assert (await ask(pipeline)).status_code == 504
        assert seen == ["cancelled", "cleaned up"]
        assert not pipeline.in_flight

    @pytest.mark.parametrize("instead", ["answers", "fails"])
    async def test_what_it_says_instead_of_ending_is_not_sent(self, app, instead, lines):
        @app.get("/x")
        async def x() -> str:
            try:
                await asyncio.sleep(30)
            except asyncio.CancelledError:
                if instead == "fails":
                    raise RuntimeError("too late") from None
            return "too late"

        answer = await ask(served(app))

        assert (answer.status_code, answer.json()["code"]) == (504, "DEADLINE_EXCEEDED")
        assert lines(level="error") == []

    async def test_a_handler_in_a_thread_ends_alone_after_its_client_was_answered(self, app):
        ended = []

        @app.get("/x")
        def x() -> None:
            time.sleep(0.6)  # noqa: TID251 -- a thread that blocks is the matter
            ended.append(True)

        sent = []
        pipeline = served(app)
        transport = httpx2.ASGITransport(pipeline)

        async def watched(scope, receive, send):
            async def noting(message):
                sent.append((message["type"], bool(ended)))
                await send(message)

            await pipeline(scope, receive, noting)

        transport.app = watched
        async with httpx2.AsyncClient(transport=transport, base_url="http://testserver") as client:
            assert (await client.get("/x")).status_code == 504
        assert sent == [("http.response.start", False), ("http.response.body", False)]

    async def test_somebody_elses_cancellation_is_not_taken_for_ours(self, app):
        begun = asyncio.Event()

        @app.get("/x")
        async def x() -> None:
            begun.set()
            await asyncio.sleep(30)

        task = asyncio.create_task(ask(served(app, timeout=30)))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


class TestWhoIsExempt:
    async def test_a_stream_that_has_begun_goes_on(self, app):
        @app.get("/x")
        async def x() -> StreamingResponse:
            async def lines():
                for number in range(4):
                    yield f"{number}\n"
                    await asyncio.sleep(0.2)

            return StreamingResponse(lines())

        assert (await ask(served(app))).text == "0\n1\n2\n3\n"

    async def test_work_after_the_answer_goes_on(self, app):
        done = []

        async def later() -> None:
            await asyncio.sleep(0.6)
            done.append(True)

        @app.get("/x")
        async def x(tasks: BackgroundTasks) -> None:
            tasks.add_task(later)

        assert (await ask(served(app))).status_code == 200
        assert done == [True]

    @pytest.mark.parametrize("above", [True, False])
    async def test_a_route_has_the_time_that_it_is_given(self, app, above):
        async def x() -> str:
            await asyncio.sleep(0.6)
            return "in its own time"

        if above:
            deadline(30)(app.get("/x")(x))
        else:
            app.get("/x")(deadline(30)(x))

        assert (await ask(served(app))).json() == "in its own time"

    async def test_a_route_may_have_less_time_than_the_others_or_no_limit(self, app):
        @app.get("/quick")
        @deadline(SOON)
        async def quick() -> None:
            await asyncio.sleep(30)

        @app.get("/x")
        @deadline(None)
        async def x() -> str:
            await asyncio.sleep(0.6)
            return "without a limit"

        assert (await ask(served(app, timeout=30), "/quick")).status_code == 504
        assert (await ask(served(app, timeout=None), "/quick")).status_code == 504
        assert (await ask(served(app))).json() == "without a limit"

    @given(st.one_of(st.floats(max_value=0), st.just(float("nan")), st.integers(max_value=0)))
    def test_a_time_that_is_none_is_refused(self, seconds):
        with pytest.raises(ValueError, match="positive number of seconds"):
            deadline(seconds)
