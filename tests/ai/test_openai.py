import asyncio
import json
import logging
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from pydantic import SecretStr

from mainspring.ai import (
    Completion,
    CompletionRequest,
    Message,
    ModelAnswerInvalid,
    ModelRefused,
    ModelUnavailable,
    OpenAIProvider,
    TextDelta,
    ToolCall,
    ToolSpec,
    Usage,
)

QUESTION = CompletionRequest(messages=(Message("user", "Hello?"),))


async def ask(provider, request=QUESTION):
    items = [item async for item in provider.complete(request)]
    assert all(isinstance(item, TextDelta) for item in items[:-1])
    completion = items[-1]
    assert isinstance(completion, Completion)
    return [item.text for item in items[:-1]], completion


class TestAnAnswer:
    async def test_streams_text_and_ends_with_the_completion_and_the_servers_count(self, openai, upstream, wire):
        upstream.streams(wire.chunk("Hel"), wire.chunk("lo."), wire.chunk(finish="stop"), wire.usage(12, 3), wire.done)
        texts, completion = await ask(openai())
        assert texts == ["Hel", "lo."]
        assert completion.message == Message("assistant", "Hello.")
        assert completion.usage == Usage(12, 3, "provider")
        assert completion.usage.total == 15
        assert completion.model == "model-2026-01"
        assert completion.finish_reason == "stop"

    async def test_survives_any_split_of_the_bytes(self, openai, upstream, wire):
        upstream.streams(wire.chunk("Größe: 5 €"), wire.chunk(finish="stop"), wire.done, size=1)
        texts, _ = await ask(openai())
        assert "".join(texts) == "Größe: 5 €"

    async def test_puts_fragments_of_parallel_tool_calls_together_by_index(self, openai, upstream, wire):
        def part(index, arguments, **more):
            function = {"arguments": arguments, **({"name": more["name"]} if "name" in more else {})}
            return wire.chunk(calls=[{"index": index, "id": more.get("id"), "type": "function", "function": function}])

        upstream.streams(
            part(0, "", id="call_a", name="add"),
            part(0, '{"left": 1,'),
            part(1, '{"q"', id="call_b", name="search"),
            part(0, ' "right": 2}'),
            part(1, ': "x"}'),
            wire.chunk(finish="tool_calls"),
            wire.done,
        )
        _, completion = await ask(openai())
        assert completion.message.tool_calls == (
            ToolCall("call_a", "add", {"left": 1, "right": 2}),
            ToolCall("call_b", "search", {"q": "x"}),
        )
        assert completion.finish_reason == "tool_calls"

    @pytest.mark.parametrize(
        "parts",
        [
            pytest.param(
                [{"id": "a", "function": {"name": "f"}}, {"id": "b", "function": {"name": "g"}}], id="no index"
            ),
            pytest.param(
                [
                    {"index": 0, "id": "a", "function": {"name": "f"}},
                    {"index": 0, "id": "b", "function": {"name": "g"}},
                ],
                id="one index for all",
            ),
        ],
    )
    async def test_tells_calls_apart_that_a_server_numbers_badly(self, openai, upstream, wire, parts):
        upstream.streams(*(wire.chunk(calls=[part]) for part in parts), wire.chunk(finish="stop"), wire.done)
        _, completion = await ask(openai())
        assert completion.message.tool_calls == (ToolCall("a", "f"), ToolCall("b", "g"))

    async def test_continues_a_call_whose_fragments_carry_neither_index_nor_id(self, openai, upstream, wire):
        first = {"function": {"name": "f", "arguments": '{"n":'}}
        upstream.streams(
            wire.chunk(calls=[first]), wire.chunk(calls=[{"function": {"arguments": " 1}"}}]), wire.chunk(finish="stop")
        )
        _, completion = await ask(openai())
        assert completion.message.tool_calls == (ToolCall("call_1", "f", {"n": 1}),)

    @pytest.mark.parametrize("arguments", ['{"left": 1', "[1]", "nonsense"])
    async def test_hands_on_arguments_that_are_no_object_as_malformed(self, openai, upstream, wire, arguments):
        call = {"index": 0, "id": "a", "function": {"name": "f", "arguments": arguments}}
        upstream.streams(wire.chunk(calls=[call]), wire.chunk(finish="length"), wire.done)
        _, completion = await ask(openai())
        assert completion.message.tool_calls == (ToolCall("a", "f", {}, malformed=arguments),)
        assert completion.finish_reason == "length"

    @pytest.mark.parametrize("event", [{"choices": [], "usage": None}, {"choices": [], "usage": {}}, ": ping\n\n"])
    async def test_has_unknown_usage_where_the_server_reports_none(self, openai, upstream, wire, event):
        upstream.streams(wire.chunk("Hi"), wire.chunk(finish="stop"), event, wire.done)
        _, completion = await ask(openai())
        assert completion.usage == Usage(None, None, "unknown")

    async def test_keeps_half_a_count_as_half_a_count(self, openai, upstream, wire):
        upstream.streams(wire.chunk("Hi", finish="stop"), wire.usage(7, None), wire.done)
        _, completion = await ask(openai())
        assert completion.usage == Usage(7, None, "provider")
        assert completion.usage.total is None

    async def test_is_taken_whole_from_a_server_that_does_not_stream(self, openai, upstream):
        message = {"role": "assistant", "content": "Hello."}
        counted = {"prompt_tokens": 5, "completion_tokens": 2}
        upstream.answers(
            200, {"model": "m", "choices": [{"message": message, "finish_reason": "stop"}], "usage": counted}
        )
        texts, completion = await ask(openai())
        assert texts == ["Hello."]
        assert completion.usage == Usage(5, 2, "provider")

    async def test_is_complete_without_the_done_mark_if_it_has_a_reason_to_end(self, openai, upstream, wire):
        upstream.streams(wire.chunk("Hi", finish="eos"))
        _, completion = await ask(openai())
        assert completion.message.content == "Hi"
        assert completion.finish_reason == "unknown"

    async def test_is_complete_with_the_done_mark_alone(self, openai, upstream, wire):
        upstream.streams(wire.chunk("Hi"), {"choices": [{"delta": None}]}, wire.done)
        _, completion = await ask(openai())
        assert completion.finish_reason == "unknown"

    async def test_is_not_changed_by_events_without_data_or_after_its_end(self, openai, upstream, wire):
        upstream.streams(
            wire.chunk("Hi"), "event: ping\ndata:\n\n", wire.chunk(finish="stop"), wire.done, wire.chunk("!")
        )
        texts, _ = await ask(openai())
        assert texts == ["Hi"]

    async def test_does_not_wait_for_a_server_that_keeps_the_stream_open_after_its_end(self, openai, upstream, wire):
        upstream.streams(wire.chunk("Hi", finish="stop"), wire.done, end="hold")
        async with asyncio.timeout(5):
            _, completion = await ask(openai())
        assert completion.message.content == "Hi"

    async def test_gives_the_connection_back_for_the_next_one(self, openai, upstream):
        upstream.says()
        upstream.says()
        provider = openai()
        await ask(provider)
        await ask(provider)
        assert upstream.connections == 1

    async def test_that_is_abandoned_hangs_up_on_the_server(self, openai, upstream, wire):
        upstream.streams(wire.chunk("Once upon"), end="hold")
        async with aclosing(openai().complete(QUESTION)) as stream:
            assert await anext(stream) == TextDelta("Once upon")
        async with asyncio.timeout(5):
            await upstream.left.wait()


class TestARequest:
    async def test_carries_key_conversation_tools_and_options(self, openai, upstream):
        upstream.says()
        call = ToolCall("c1", "add", {"left": "ü"})
        request = CompletionRequest(
            messages=(
                Message("system", "Be brief."),
                Message("user", "Add."),
                Message("assistant", "", (call,)),
                Message("tool", '{"sum": 3}', tool_call_id="c1"),
            ),
            tools=(ToolSpec("add", "Adds.", {"type": "object"}),),
            model="large",
            max_tokens=50,
            temperature=0.0,
        )
        await ask(openai(), request)
        received = upstream.received[0]
        assert received.path == "/v1/chat/completions"
        assert received.headers["authorization"] == "Bearer sk-secret-key-1234"
        function = {"name": "add", "arguments": '{"left": "ü"}'}
        assert received.body == {
            "model": "large",
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "Add."},
                {
                    "role": "assistant",
                    "content": None,
                    "tool_calls": [{"id": "c1", "type": "function", "function": function}],
                },
                {"role": "tool", "content": '{"sum": 3}', "tool_call_id": "c1"},
            ],
            "stream": True,
            "stream_options": {"include_usage": True},
            "tools": [
                {
                    "type": "function",
                    "function": {"name": "add", "description": "Adds.", "parameters": {"type": "object"}},
                }
            ],
            "max_tokens": 50,
            "temperature": 0.0,
        }

    async def test_without_key_or_options_sends_none(self, openai, upstream):
        upstream.says()
        await ask(openai(api_key=None))
        assert "authorization" not in upstream.received[0].headers
        assert upstream.received[0].body.keys() == {"model", "messages", "stream", "stream_options"}
        assert upstream.received[0].body["model"] == "small"

    async def test_may_not_be_made_with_a_key_pasted_wrongly(self):
        for wrong in ("sk-one\nsk-two", "sk one", "sk-ü"):
            with pytest.raises(ValueError, match="no key has") as caught:
                OpenAIProvider(base_url="http://127.0.0.1", model="m", api_key=SecretStr(wrong))
            assert wrong not in str(caught.value)


class TestBeforeTheAnswerBegins:
    @pytest.mark.parametrize("status", [408, 409, 429, 500, 503, 529])
    async def test_a_passing_failure_is_tried_again(self, openai, upstream, status):
        upstream.answers(status, {"error": {"message": "busy"}})
        upstream.says()
        provider = openai(backoff=0.5)
        _, completion = await ask(provider)
        assert completion.message.content == "Hello."
        assert len(upstream.received) == 2
        assert len(provider.waits) == 1
        assert 0 <= provider.waits[0] <= 0.5

    @pytest.mark.parametrize(
        ("headers", "seconds"),
        [
            ({"retry_after": "7"}, 7.0),
            ({"retry_after_ms": "1500", "retry_after": "7"}, 1.5),
            ({"retry_after": "0"}, 0.0),
        ],
    )
    async def test_the_servers_wish_is_waited_for_in_full(self, openai, upstream, headers, seconds):
        upstream.answers(429, "", **headers)
        upstream.says()
        provider = openai()
        await ask(provider)
        assert provider.waits == [seconds]

    async def test_a_wish_may_be_a_date(self, openai, upstream):
        upstream.answers(503, "", retry_after=format_datetime(datetime.now(UTC) + timedelta(seconds=20), usegmt=True))
        upstream.says()
        provider = openai()
        await ask(provider)
        assert 10 < provider.waits[0] <= 20

    @pytest.mark.parametrize("wish", ["soon", "inf", "nan"])
    async def test_an_unreadable_wish_is_none(self, openai, upstream, wish):
        upstream.answers(503, "", retry_after=wish)
        upstream.says()
        provider = openai()
        await ask(provider)
        assert provider.waits[0] <= 0.5

    async def test_attempts_come_to_an_end(self, openai, upstream):
        for _ in range(3):
            upstream.answers(500, "oops", retry_after="2")
        provider = openai(attempts=3)
        with pytest.raises(ModelUnavailable, match="HTTP 500") as caught:
            await ask(provider)
        assert caught.value.retry_after == 2.0
        assert provider.waits == [2.0, 2.0]

    async def test_a_wish_past_the_deadline_ends_them_at_once_and_is_passed_on(self, openai, upstream):
        upstream.answers(429, "", retry_after="3600")
        provider = openai(retry_deadline=30)
        with pytest.raises(ModelUnavailable, match="slow down") as caught:
            await ask(provider)
        assert caught.value.retry_after == 3600
        assert provider.waits == []

    async def test_a_server_out_of_reach_is_tried_again_and_then_named_with_the_setting_to_check(
        self, openai, upstream
    ):
        server = await asyncio.start_server(upstream.serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        server.close()
        await server.wait_closed()
        provider = openai(base_url=f"http://127.0.0.1:{port}/v1", attempts=2)
        with pytest.raises(ModelUnavailable, match="AI_BASE_URL"):
            await ask(provider)
        assert len(provider.waits) == 1

    async def test_a_connection_dropped_without_an_answer_is_tried_again(self, openai, upstream):
        served = upstream.serve
        upstream.says()
        first = True

        async def serve(reader, writer):
            nonlocal first
            if first:
                first = False
                await reader.readuntil(b"\r\n\r\n")
                writer.close()
                return
            await served(reader, writer)

        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            provider = openai(base_url=f"http://127.0.0.1:{port}/v1")
            _, completion = await ask(provider)
            await provider.aclose()
        assert completion.message.content == "Hello."
        assert len(provider.waits) == 1

    async def test_a_silent_server_is_given_up_after_the_read_timeout_and_not_asked_twice(self, openai, upstream):
        upstream.is_silent()
        provider = openai(read_timeout=0.05)
        with pytest.raises(ModelUnavailable, match="AI_READ_TIMEOUT"):
            await ask(provider)
        assert len(upstream.received) == 1
        assert provider.waits == []

    async def test_too_few_connections_name_the_setting(self, openai, upstream):
        upstream.is_silent()
        provider = openai(max_connections=1, connect_timeout=0.05)
        first = asyncio.create_task(ask(provider))
        await upstream.reached.wait()
        with pytest.raises(ModelUnavailable, match="AI_MAX_CONNECTIONS"):
            await ask(provider)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first


class TestARefusal:
    @pytest.mark.parametrize("status", [401, 403])
    async def test_of_the_key_says_what_to_do_and_shows_no_key(self, openai, upstream, caplog, status):
        upstream.answers(status, {"error": {"message": "Incorrect API key provided: sk-secret-key-1234."}})
        provider = openai()
        with caplog.at_level(logging.DEBUG), pytest.raises(ModelRefused, match="Set AI_API_KEY") as caught:
            await ask(provider)
        assert not caught.value.retryable
        assert "secret" not in str(caught.value)
        assert "sk-secret-key-1234" not in caplog.text
        assert provider.waits == []

    async def test_of_the_request_repeats_the_servers_reason_without_the_key(self, openai, upstream):
        upstream.answers(400, {"error": {"message": "too  long\nfor sk-secret-key-1234"}})
        with pytest.raises(ModelRefused, match=r"\(HTTP 400\): too long for \*{8}$"):
            await ask(openai())

    @pytest.mark.parametrize(
        ("body", "reason"),
        [
            ({"error": "no such thing"}, "no such thing"),
            ({"message": "no such thing", "object": "error"}, "no such thing"),
            ({"detail": [{"loc": ["model"]}]}, r'\[\{"loc": \["model"\]\}\]'),
            ("plain words", "plain words"),
            ("", "no explanation"),
        ],
    )
    async def test_is_read_in_every_way_servers_write_it(self, openai, upstream, body, reason):
        upstream.answers(422, body)
        with pytest.raises(ModelRefused, match=f": {reason}$"):
            await ask(openai())

    async def test_that_is_long_is_shown_in_part(self, openai, upstream):
        upstream.answers(400, "x" * 100_000)
        with pytest.raises(ModelRefused) as caught:
            await ask(openai())
        assert len(caught.value.message) < 400

    async def test_that_breaks_off_is_still_a_refusal(self, openai, upstream):
        upstream.streams("half a rea", end="cut")
        upstream.replies[0].status = 400
        with pytest.raises(ModelRefused, match="half a rea"):
            await ask(openai(api_key=None))

    @pytest.mark.parametrize(("status", "headers"), [(404, {}), (301, {"location": "https://elsewhere.example"})])
    async def test_of_the_address_names_the_settings(self, openai, upstream, status, headers):
        upstream.answers(status, "", **headers)
        with pytest.raises(ModelRefused, match="Check AI_BASE_URL"):
            await ask(openai())


class TestAnAnswerThatGoesWrong:
    async def test_by_being_cut_is_invalid_and_not_asked_for_again(self, openai, upstream, wire):
        upstream.streams(wire.chunk("Once upon"), end="cut")
        stream = openai().complete(QUESTION)
        assert await anext(stream) == TextDelta("Once upon")
        with pytest.raises(ModelAnswerInvalid, match="broke off") as caught:
            await anext(stream)
        assert caught.value.__cause__ is not None
        assert len(upstream.received) == 1

    async def test_by_ending_early_is_invalid(self, openai, upstream, wire):
        upstream.streams(wire.chunk("Once upon"))
        with pytest.raises(ModelAnswerInvalid, match="ended before it was complete"):
            await ask(openai())

    @pytest.mark.parametrize("event", ["data: {nonsense\n\n", 'data: {"choices": 5}\n\n'])
    async def test_by_holding_nonsense_is_invalid(self, openai, upstream, wire, event):
        upstream.streams(wire.chunk("Once"), event)
        with pytest.raises(ModelAnswerInvalid, match="no chat completion"):
            await ask(openai())

    async def test_by_being_a_web_page_names_the_address(self, openai, upstream):
        upstream.answers(200, "<html>", content_type="text/html")
        with pytest.raises(ModelAnswerInvalid, match="AI_BASE_URL"):
            await ask(openai())

    async def test_by_falling_silent_is_unavailable(self, openai, upstream, wire):
        upstream.streams(wire.chunk("Once"), end="hold")
        with pytest.raises(ModelUnavailable, match=r"silent for 0\.05 s"):
            await ask(openai(read_timeout=0.05))

    async def test_by_an_error_within_the_stream_is_unavailable_and_the_reason_is_logged(
        self, openai, upstream, wire, caplog
    ):
        upstream.streams(wire.chunk("Once"), {"error": {"message": "out of memory"}}, wire.done)
        with pytest.raises(ModelUnavailable, match="log") as caught:
            await ask(openai())
        assert "out of memory" not in caught.value.message
        assert "out of memory" in caplog.text


class TestAPing:
    async def test_lists_the_models_with_the_key(self, openai, upstream):
        upstream.answers(200, {"data": []})
        await openai().ping()
        assert (upstream.received[0].method, upstream.received[0].path) == ("GET", "/v1/models")
        assert upstream.received[0].headers["authorization"] == "Bearer sk-secret-key-1234"

    async def test_tells_a_wrong_key(self, openai, upstream):
        upstream.answers(401, {"error": {"message": "no"}})
        with pytest.raises(ModelRefused, match="AI_API_KEY"):
            await openai().ping()

    async def test_tells_a_server_that_drops_the_connection(self, openai, upstream):
        upstream.streams(end="cut")
        with pytest.raises(ModelUnavailable, match="out of reach"):
            await openai().ping()


async def test_openai_itself_is_given_its_own_name_for_the_most_tokens(openai, upstream):
    from mainspring.ai._providers._wire import encode

    official = openai(base_url="https://api.openai.com/v1")
    assert official._limit_name == "max_completion_tokens"
    request = CompletionRequest(messages=(), max_tokens=5)
    assert json.loads(encode(request, model="m", limit_name=official._limit_name))["max_completion_tokens"] == 5
