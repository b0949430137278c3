import asyncio
import json
from contextlib import aclosing
from dataclasses import asdict

import pytest
from pydantic import BaseModel

from mainspring.ai import (
    DEFAULT_LIMITS,
    Completion,
    FunctionTool,
    Message,
    ModelUnavailable,
    RunEnded,
    RunLimits,
    RunStarted,
    StepCompleted,
    StepStarted,
    TextDelta,
    TextStreamed,
    ToolCall,
    ToolCalled,
    ToolReturned,
    Usage,
    run_agent,
)

QUESTION = [Message("user", "Go.")]
COUNTED = Usage(10, 5, "provider")


class Playing:
    """Answers with what it was given, one entry a call: items to stream, or what to do instead."""

    name = "playing"
    is_model = True

    def __init__(self, *answers):
        self.answers = list(answers)
        self.requests = []
        self.closed = 0

    async def complete(self, request):
        self.requests.append(request)
        try:
            for item in self.answers.pop(0):
                if isinstance(item, Exception):
                    raise item
                if isinstance(item, asyncio.Event):
                    item.set()
                    await asyncio.Event().wait()
                yield item
        finally:
            self.closed += 1

    async def ping(self):
        pass

    async def aclose(self):
        pass


def text(content, *, usage=COUNTED, finish="stop"):
    return [TextDelta(content), Completion(Message("assistant", content), usage, "model-1", finish)]


def calls(*wanted, usage=COUNTED, finish="tool_calls"):
    return [Completion(Message("assistant", "", wanted), usage, "model-1", finish)]


def call(number, name="work", **arguments):
    return ToolCall(f"c{number}", name, {"n": number, **arguments})


class Work(BaseModel):
    n: int


class Done(BaseModel):
    n: int


def worker(run=None, *, name="work", timeout=5.0, retry_safe=False):
    async def work(given: Work) -> Done:
        return Done(n=given.n * 10)

    return FunctionTool(
        name=name,
        description="Works.",
        input_model=Work,
        output_model=Done,
        run=run or work,
        timeout=timeout,
        retry_safe=retry_safe,
    )


async def run(provider, *tools, limits=DEFAULT_LIMITS, **options):
    events = [event async for event in run_agent(provider, QUESTION, tools=tools, limits=limits, **options)]
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert isinstance(events[0], RunStarted)
    assert isinstance(events[-1], RunEnded)
    assert not any(isinstance(event, RunEnded) for event in events[:-1])
    json.dumps([asdict(event) for event in events])
    result = events[-1].result
    assert [step.seq for step in result.steps] == list(range(1, len(result.steps) + 1))
    assert [event.record for event in events if isinstance(event, StepCompleted)] == list(result.steps)
    return events, result


class TestARun:
    async def test_streams_the_answer_and_ends_completed(self):
        events, result = await run(Playing(text("Hello.")))
        assert [type(event) for event in events] == [RunStarted, StepStarted, TextStreamed, StepCompleted, RunEnded]
        assert [event.type for event in events] == [
            "run.started",
            "step.started",
            "text.delta",
            "step.completed",
            "run.ended",
        ]
        assert (result.outcome, result.answer, result.detail, result.failure) == ("completed", "Hello.", "", None)
        assert result.usage == Usage(10, 5, "provider")
        assert result.messages == (Message("assistant", "Hello."),)

    async def test_says_at_once_whether_a_model_answers(self):
        events, _ = await run(Playing(text("Hi.")), worker())
        assert events[0] == RunStarted(1, "playing", is_model=True, tools=("work",))

    async def test_feeds_results_back_and_keeps_the_trace(self):
        provider = Playing(calls(call(1)), text("It is 10."))
        events, result = await run(provider, worker(), model="large", max_tokens=100, temperature=0.5)
        assert [type(event) for event in events[3:8]] == [
            StepStarted,
            ToolCalled,
            ToolReturned,
            StepCompleted,
            StepStarted,
        ]
        assert provider.requests[1].messages == (
            *QUESTION,
            Message("assistant", "", (call(1),)),
            Message("tool", '{"n":10}', tool_call_id="c1"),
        )
        assert (provider.requests[0].model, provider.requests[0].max_tokens) == ("large", 100)
        assert [(step.kind, step.name) for step in result.steps] == [
            ("model", "model-1"),
            ("tool", "work"),
            ("model", "model-1"),
        ]
        first, tool, last = result.steps
        assert first.request == {
            "model": "large",
            "max_tokens": 100,
            "temperature": 0.5,
            "tools": ["work"],
            "messages_before": 0,
            "messages": [asdict(QUESTION[0])],
        }
        assert first.response["tool_calls"] == [asdict(call(1))]
        assert (tool.request, tool.response) == ({"call_id": "c1", "arguments": {"n": 1}}, {"n": 10})
        assert (tool.usage, tool.error) == (None, None)
        assert last.request["messages_before"] == 2
        assert [message["role"] for message in last.request["messages"]] == ["tool"]
        assert last.response == {"content": "It is 10.", "tool_calls": [], "finish_reason": "stop"}
        assert result.usage == Usage(20, 10, "provider")
        assert [message.role for message in result.messages] == ["assistant", "tool", "assistant"]

    async def test_knows_no_sum_where_one_count_is_unknown(self):
        _, result = await run(Playing(calls(call(1), usage=Usage()), text("Done.")), worker())
        assert result.usage == Usage(None, None, "unknown")

    def test_with_two_tools_of_one_name_is_refused_before_it_starts(self):
        with pytest.raises(ValueError, match="Two tools"):
            run_agent(Playing(), QUESTION, tools=[worker(), worker(timeout=1.0)])

    async def test_does_nothing_until_it_is_asked_for_events(self):
        provider = Playing(text("Hi."))
        await run_agent(provider, QUESTION).aclose()
        assert provider.requests == []


class TestTools:
    async def test_that_fail_are_the_models_to_mend_and_stand_in_the_trace(self):
        provider = Playing(
            calls(
                ToolCall("c1", "work", {"n": "many"}), ToolCall("c2", "play"), ToolCall("c3", "work", malformed='{"n":')
            ),
            calls(call(4)),
            text("Mended."),
        )
        events, result = await run(provider, worker())
        assert result.outcome == "completed"
        errors = [step.error for step in result.steps if step.kind == "tool"]
        assert "n: Input should be a valid integer" in errors[0]
        assert "There is no tool 'play'" in errors[1]
        assert "not a JSON object" in errors[2]
        assert errors[3] is None
        assert result.steps[3].request == {"call_id": "c3", "arguments": {}, "malformed": '{"n":'}
        sent = [json.loads(message.content) for message in provider.requests[1].messages if message.role == "tool"]
        assert [content["error"] for content in sent] == errors[:3]
        assert [event.error for event in events if isinstance(event, ToolReturned)] == errors

    async def test_that_take_too_long_are_stopped_and_the_run_goes_on(self):
        async def wait(given: Work) -> Done:
            await asyncio.Event().wait()
            raise AssertionError

        _, result = await run(Playing(calls(call(1)), text("Never mind.")), worker(wait, timeout=0.01))
        assert result.outcome == "completed"
        assert result.steps[1].error == "work did not finish within 0.01 s."

    async def test_run_at_the_same_time_and_answer_in_the_order_of_the_calls(self):
        second_is_done = asyncio.Event()

        async def work(given: Work) -> Done:
            if given.n == 1:
                await second_is_done.wait()
            else:
                second_is_done.set()
            return Done(n=given.n)

        provider = Playing(calls(call(1), call(2)), text("Both."))
        events, _ = await run(provider, worker(work))
        assert [event.output for event in events if isinstance(event, ToolReturned)] == [{"n": 1}, {"n": 2}]
        assert [m.tool_call_id for m in provider.requests[1].messages if m.role == "tool"] == ["c1", "c2"]

    async def test_run_no_more_at_the_same_time_than_allowed(self):
        running, most = 0, 0

        async def work(given: Work) -> Done:
            nonlocal running, most
            running += 1
            most = max(most, running)
            for _ in range(3):
                await asyncio.sleep(0)
            running -= 1
            return Done(n=given.n)

        provider = Playing(calls(*(call(n) for n in range(6))), text("All."))
        await run(provider, worker(work), limits=RunLimits(parallel_tools=2))
        assert most == 2

    async def test_tell_whether_a_call_may_be_repeated(self):
        provider = Playing(calls(call(1, "safe"), call(2, "risky"), call(3, "unheard of")), text("Done."))
        events, _ = await run(provider, worker(name="safe", retry_safe=True), worker(name="risky"))
        assert [event.retry_safe for event in events if isinstance(event, ToolCalled)] == [True, False, True]

    async def test_that_give_too_much_are_asked_for_less(self):
        _, result = await run(Playing(calls(call(1)), text("Ok.")), worker(), limits=RunLimits(max_output_bytes=3))
        assert result.steps[1].error == "The result has 8 bytes of at most 3. Ask for less."


class TestALimit:
    async def test_of_steps_ends_the_run_without_running_tools_nobody_reads(self):
        provider = Playing(calls(call(1)), calls(call(2)))
        _, result = await run(provider, worker(), limits=RunLimits(max_steps=2))
        assert result.outcome == "step_limit"
        assert "raise max_steps" in result.detail
        assert [step.kind for step in result.steps] == ["model", "tool", "model"]
        assert [message.role for message in result.messages] == ["assistant", "tool"]

    async def test_of_no_steps_asks_no_model(self):
        provider = Playing()
        _, result = await run(provider, limits=RunLimits(max_steps=0))
        assert (result.outcome, result.steps, result.usage) == ("step_limit", (), Usage())

    async def test_of_tokens_ends_the_run_once_reached(self):
        provider = Playing(calls(call(1)), calls(call(2)))
        _, result = await run(provider, worker(), limits=RunLimits(max_total_tokens=30))
        assert result.outcome == "token_limit"
        assert result.detail == "The run used 30 of 30 tokens; raise max_total_tokens."

    async def test_of_tokens_does_not_take_an_answer_away(self):
        _, result = await run(Playing(text("Long.")), limits=RunLimits(max_total_tokens=1))
        assert result.outcome == "completed"

    async def test_of_tokens_cannot_hold_where_nobody_counts(self):
        provider = Playing(calls(call(1), usage=Usage()), text("Done.", usage=Usage()))
        _, result = await run(provider, worker(), limits=RunLimits(max_total_tokens=1))
        assert result.outcome == "completed"

    async def test_of_one_answer_is_told_and_half_a_tool_call_is_not_run(self):
        provider = Playing(calls(ToolCall("c1", "work", malformed='{"n"'), finish="length"))
        _, result = await run(provider, worker())
        assert result.outcome == "token_limit"
        assert "raise max_tokens" in result.detail
        assert [step.kind for step in result.steps] == ["model"]
        assert result.messages == ()

    async def test_of_one_answer_leaves_what_there_is(self):
        _, result = await run(Playing(text("Once up", finish="length")))
        assert (result.outcome, result.answer) == ("token_limit", "Once up")

    async def test_of_time_stops_a_model_that_hangs_and_keeps_what_it_wrote(self):
        hangs = asyncio.Event()
        provider = Playing([TextDelta("Once "), hangs])
        _, result = await run(provider, limits=RunLimits(deadline=0.05))
        assert (result.outcome, result.answer) == ("deadline", "Once ")
        assert result.detail == "The run's deadline of 0.05 s has passed."
        assert result.steps[0].error == result.detail
        assert result.steps[0].usage == Usage()
        assert provider.closed == 1

    async def test_of_time_stops_tools_in_flight(self):
        stopped = []

        async def hang(given: Work) -> Done:
            try:
                await asyncio.Event().wait()
            finally:
                stopped.append(given.n)
            raise AssertionError

        provider = Playing(calls(call(1), call(2)))
        _, result = await run(provider, worker(hang), limits=RunLimits(deadline=0.05))
        assert result.outcome == "deadline"
        assert sorted(stopped) == [1, 2]
        assert [step.error for step in result.steps] == [None, result.detail, result.detail]
        assert result.messages == ()


class TestAFailure:
    async def test_of_the_provider_is_an_outcome_with_its_code(self):
        error = ModelUnavailable("Out of reach.", retry_after=3.0)
        _, result = await run(Playing([TextDelta("Well, "), error]))
        assert (result.outcome, result.answer, result.detail) == ("failed", "Well, ", "Out of reach.")
        assert asdict(result.failure) == {
            "code": "MODEL_UNAVAILABLE",
            "message": "Out of reach.",
            "retryable": True,
            "retry_after": 3.0,
        }
        assert result.steps[0].error == "Out of reach."

    @pytest.mark.parametrize("error", [RuntimeError("password is hunter2"), TimeoutError("hunter2")])
    async def test_nobody_foresaw_is_logged_and_shows_nothing(self, error, caplog):
        _, result = await run(Playing([error]))
        assert (result.outcome, result.failure.code) == ("failed", "INTERNAL_ERROR")
        assert "hunter2" not in result.detail
        assert "hunter2" in caplog.text

    async def test_is_a_stream_without_completion(self):
        _, result = await run(Playing([TextDelta("Well")]))
        assert (result.outcome, result.failure.code) == ("failed", "MODEL_ANSWER_INVALID")

    async def test_is_an_answer_of_nothing(self):
        _, result = await run(Playing(text(" ")))
        assert result.outcome == "failed"
        assert "neither text nor a tool call" in result.detail

    async def test_is_an_answer_withheld(self):
        _, result = await run(Playing(text("", finish="content_filter")))
        assert (result.outcome, result.failure.code, result.failure.retryable) == ("failed", "MODEL_REFUSED", False)


class TestLeaving:
    async def test_early_cancels_the_tools_in_flight(self):
        began, stopped = asyncio.Event(), asyncio.Event()

        async def hang(given: Work) -> Done:
            began.set()
            try:
                await asyncio.Event().wait()
            finally:
                stopped.set()
            raise AssertionError

        async with aclosing(run_agent(Playing(calls(call(1))), QUESTION, tools=[worker(hang)])) as events:
            async for event in events:
                if isinstance(event, ToolCalled):
                    await began.wait()
                    break
        assert stopped.is_set()

    async def test_by_cancellation_closes_the_models_stream(self):
        hangs = asyncio.Event()
        provider = Playing([hangs])

        async def consume():
            async with aclosing(run_agent(provider, QUESTION)) as events:
                async for _ in events:
                    pass

        consumer = asyncio.create_task(consume())
        await hangs.wait()
        consumer.cancel()
        with pytest.raises(asyncio.CancelledError):
            await consumer
        assert provider.closed == 1

    async def test_a_slow_consumer_holds_the_run_back(self):
        made = 0

        class Chatty(Playing):
            async def complete(self, request):
                nonlocal made
                for _ in range(1000):
                    made += 1
                    yield TextDelta("x")

        async with aclosing(run_agent(Chatty(), QUESTION)) as events:
            await anext(events)
            for _ in range(500):
                await asyncio.sleep(0)
            assert 0 < made < 100
