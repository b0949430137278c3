import json

import pytest
from pydantic import BaseModel

from mainspring.ai import (
    Completion,
    CompletionRequest,
    FunctionTool,
    Message,
    RunEnded,
    RunStarted,
    ScriptedProvider,
    TextDelta,
    TextStreamed,
    ToolCall,
    ToolCalled,
    ToolSpec,
    Usage,
    run_agent,
    tool_spec,
)

OFFLINE = "No language model is configured."


async def answer(text, tools, before=()):
    messages = [*before, Message("user", text)]
    events = [event async for event in run_agent(ScriptedProvider(), messages, tools=tools)]
    result = events[-1].result
    assert result.outcome == "completed"
    assert OFFLINE in result.answer
    called = [(event.name, event.arguments) for event in events if isinstance(event, ToolCalled)]
    return called, result.answer


@pytest.mark.parametrize(
    ("text", "expression", "said"),
    [
        ("What is 17 % of 2,340?", "2340 * 17 / 100", "17 % of 2,340 = 397.8."),
        ("what's 17.5% of $1,000.50", "1000.50 * 17.5 / 100", "17.5% of $1,000.50 = 175.0875."),
        ("5 percent of 80", "80 * 5 / 100", "5 percent of 80 = 4."),
        ("How much is 20% of (30 + 50)?", "(20 / 100) * (30 + 50)", "20% of (30 + 50) = 16."),
        ("What is 10% of 50 + 5?", "(50 * 10 / 100) + 5", "10% of 50 + 5 = 10."),
        ("12 * (3 + 4)", "12 * (3 + 4)", "12 * (3 + 4) = 84."),
        ("Please calculate 12*(3+4).", "12 * (3 + 4)", "12*(3+4) = 84."),
        ("2^10 = ?", "2 ** 10", "2^10 = 1024."),
        ("What is -5 + 3?", "-5 + 3", "-5 + 3 = -2."),
        ("what is 3 - -2", "3 - -2", "3 - -2 = 5."),
        ("Compute 1,234,567 \u00d7 2 ÷ 2", "1234567 * 2 / 2", "1,234,567 \u00d7 2 ÷ 2 = 1234567."),
        ("what is 3 x 4", "3 * 4", "3 x 4 = 12."),
        ("What is 8 divided by 4 plus 1?", "8 / 4 + 1", "8 divided by 4 plus 1 = 3."),
        ("what is 7 mod 4?", "7 % 4", "7 mod 4 = 3."),
        ("- 5 * 3", "5 * 3", "5 * 3 = 15."),
        ("(what is 2 + 2)", "2 + 2", "2 + 2 = 4."),
        ("what is ((2 + 3)?", "(2 + 3)", "(2 + 3) = 5."),
    ],
)
async def test_a_sum_is_worked_out_by_the_calculator(tools, text, expression, said):
    called, written = await answer(text, tools)
    assert called == [("calculator", {"expression": expression})]
    assert written.startswith(said)


@pytest.mark.parametrize(
    "text",
    [
        "what is 2 + 3 * y?",
        "what is y * 2 + 3?",
        "what is 200 + 15 %?",
        "what is 3,5 * 2?",
        "solve 3 x + 5 = 20",
        "what is sqrt(16 + 9)?",
        "what is 2026-12-25?",
        "Is support there 24/7?",
        "what is 192.168.0.1?",
        "what is 3kg * 2?",
        "what is -5?",
        "what is (2 + 3)) * (1?",
        "what is 5 5 + 2?",
    ],
)
async def test_a_sum_that_cannot_be_read_in_full_is_left_alone(tools, text):
    called, written = await answer(text, tools)
    assert called == []
    assert f"No rule covers “{text}”" in written


@pytest.mark.parametrize("text", ["I paid 100 + 20 yesterday.", "My number is 555-1234.", "Thanks!", ""])
async def test_a_remark_is_no_question(tools, text):
    called, written = await answer(text, tools)
    assert called == []
    assert "No rule covers this message." in written


@pytest.mark.parametrize(
    ("text", "counted", "said"),
    [
        (
            "How many words has this sentence?",
            "How many words has this sentence?",
            "Your whole message (“How many words has this sentence?”) has 6 words.",
        ),
        ("count the words in: one two. Three!", "one two. Three!", "“one two. Three!” has 3 words."),
        ("Count the words in:\none\ntwo", "one\ntwo", "“one two” has 2 words."),
        ("count the words in: “one two”, please", "one two", "“one two” has 2 words."),
        ("How many words does \"it's a dog's life\" have?", "it's a dog's life", "“it's a dog's life” has 4 words."),
        ("how many words are in 'hello world'?", "hello world", "“hello world” has 2 words."),
        ("«one two three»: how many words is that?", "one two three", "“one two three” has 3 words."),
        (
            "How many words, characters and sentences are in `a bc`?",
            "a bc",
            "“a bc” has 2 words, 4 characters and 1 sentence.",
        ),
        ("What is the word count of “one”?", "one", "“one” has 1 word."),
        ("number of sentences in: a. b.", "a. b.", "“a. b.” has 2 sentences."),
        ("How many letters and words are in “ab”?", "ab", "“ab” has 1 word. The tool does not count letters."),
        ("How many letters are in “ab”?", "ab", "The tool does not count letters."),
    ],
)
async def test_the_words_of_the_text_that_is_meant_are_counted_and_the_text_is_named(tools, text, counted, said):
    called, written = await answer(text, tools)
    assert called == [("text_statistics", {"text": counted})]
    assert written.startswith(said)


async def test_a_long_text_is_counted_whole_and_named_in_part(tools):
    called, written = await answer("Count the words in: " + "word. " * 5000, tools)
    assert called[0][1]["text"].count("word") == 5000
    assert "has 5000 words." in written
    assert "…" in written
    assert len(written) < 400


async def test_a_text_the_rules_do_not_have_is_not_counted(tools):
    called, written = await answer("How many words are in Hamlet?", tools)
    assert called == []
    assert "No rule covers “How many words are in Hamlet?”" in written


@pytest.mark.parametrize(
    ("text", "arguments", "said"),
    [
        (
            "how many days between 2026-01-01 and 2026-03-01",
            {"operation": "difference", "start": "2026-01-01", "end": "2026-03-01"},
            "From 2026-01-01 to 2026-03-01: 59 days.",
        ),
        (
            "How many days are there from 1 January 2026 until March 1st, 2026?",
            {"operation": "difference", "start": "2026-01-01", "end": "2026-03-01"},
            "From 2026-01-01 to 2026-03-01: 59 days.",
        ),
        ("what weekday is 2026-12-25", {"operation": "weekday", "date": "2026-12-25"}, "2026-12-25 is a Friday."),
        (
            "What day of the week is the 25th of December 2026?",
            {"operation": "weekday", "date": "2026-12-25"},
            "2026-12-25 is a Friday.",
        ),
        (
            "What day is 30 days after 2026-01-01?",
            {"operation": "add", "date": "2026-01-01", "days": 30},
            "30 days after 2026-01-01 is 2026-01-31.",
        ),
        (
            "2 weeks before 2026-01-15?",
            {"operation": "add", "date": "2026-01-15", "days": -14},
            "2 weeks before 2026-01-15 is 2026-01-01.",
        ),
        (
            "add 1 day to 2026-02-28",
            {"operation": "add", "date": "2026-02-28", "days": 1},
            "1 day after 2026-02-28 is 2026-03-01.",
        ),
        (
            "subtract 3 days from 2026-01-04",
            {"operation": "add", "date": "2026-01-04", "days": -3},
            "3 days before 2026-01-04 is 2026-01-01.",
        ),
        (
            "What is 2026-03-01 minus 10 days?",
            {"operation": "add", "date": "2026-03-01", "days": -10},
            "10 days before 2026-03-01 is 2026-02-19.",
        ),
        (
            "what weekday is 2026-02-30?",
            {"operation": "weekday", "date": "2026-02-30"},
            "2026-02-30: date_time could not answer. 2026-02-30 is no date.",
        ),
    ],
)
async def test_a_question_about_dates_goes_to_the_date_tool(tools, text, arguments, said):
    called, written = await answer(text, tools)
    assert called == [("date_time", arguments)]
    assert written.startswith(said)


@pytest.mark.parametrize(
    ("text", "zone"),
    [
        ("what time is it in Europe/Madrid", "Europe/Madrid"),
        ("What time is it in europe/madrid right now?", "Europe/Madrid"),
        ("What time is it in Madrid right now?", "Europe/Madrid"),
        ("What's the time in New York?", "America/New_York"),
        ("what is the current local time in port of spain", "America/Port_of_Spain"),
        ("What's the current date in UTC?", "UTC"),
        ("What is today's date?", "UTC"),
        ("What day is it?", "UTC"),
    ],
)
async def test_the_time_is_asked_for_in_the_zone_named_or_in_utc(tools, text, zone):
    called, written = await answer(text, tools)
    assert called == [("date_time", {"operation": "now", "timezone": zone})]
    assert written.startswith(f"The time in {zone} is 20")


async def test_a_zone_that_does_not_exist_is_the_tools_to_refuse(tools):
    called, written = await answer("What time is it in Europe/Nowhere?", tools)
    assert called == [("date_time", {"operation": "now", "timezone": "Europe/Nowhere"})]
    assert "date_time could not answer" in written


@pytest.mark.parametrize("text", ["What time is it in Nowhere?", "What is the time complexity of sorting?"])
async def test_a_time_that_no_zone_tells_is_left_alone(tools, text):
    called, written = await answer(text, tools)
    assert called == []
    assert f"No rule covers “{text}”" in written


async def test_several_questions_are_answered_in_their_order_and_the_rules_named(tools):
    text = (
        "Hello! What weekday is 2026-12-25, and what is 17 % of 2,340? Also how many words has this sentence? "
        "Who wrote it?"
    )
    called, written = await answer(text, tools)
    assert [name for name, _ in called] == ["date_time", "calculator", "text_statistics"]
    lines = written.splitlines()
    assert lines[0] == "2026-12-25 is a Friday."
    assert lines[1] == "17 % of 2,340 = 397.8."
    assert lines[2].endswith("has 22 words.")
    assert lines[3] == "No rule covers “Who wrote it?”"
    assert lines[-1] == (
        f"{OFFLINE} This answer follows fixed rules (weekday, percentage, text size) and the tools' results."
    )


async def test_a_sum_inside_a_text_to_be_counted_is_not_worked_out(tools):
    called, _ = await answer("Count the words in: what is 2 + 2?", tools)
    assert called == [("text_statistics", {"text": "what is 2 + 2?"})]


async def test_a_number_that_stands_between_two_answered_questions_is_not_glued_to_either(tools):
    called, _ = await answer("What weekday is 2026-12-25 - 5 * 3?", tools)
    assert [name for name, _ in called] == ["date_time"]


async def test_more_questions_than_one_message_gets_answers_for_are_counted(tools):
    called, written = await answer("What is 2 + 2? " * 20, tools)
    assert len(called) == 16
    assert "4 more questions were left out: one message gets at most 16 answers." in written


async def test_what_is_too_long_to_search_is_said(tools):
    called, written = await answer("What is 2 + 2? " + "Then again. " * 500 + "What is 3 + 3?", tools)
    assert called == [("calculator", {"expression": "2 + 2"})]
    assert "characters were not searched for questions." in written


async def test_without_a_rule_the_answer_says_what_it_can_do_and_how_to_get_a_model(tools):
    _, written = await answer("Who are you?", tools[:1])
    assert "- percentage: when a percentage of a number is asked for. Example: What is 17 % of 2,340?" in written
    assert "weekday" not in written
    assert "AI_PROVIDER=openai" in written


async def test_without_tools_it_says_that_too():
    called, written = await answer("What is 2 + 2?", [])
    assert called == []
    assert "The rule “arithmetic” needs the tool calculator, which is not offered in that form." in written
    assert "No tool is offered that a rule uses." in written


class Formula(BaseModel):
    formula: str


class Typed(BaseModel):
    expression: int


class Demanding(BaseModel):
    expression: str
    precision: int


@pytest.mark.parametrize("model", [Formula, Typed, Demanding])
async def test_a_tool_of_the_right_name_with_other_parameters_is_not_called(calculator, model):
    other = FunctionTool(
        name="calculator",
        description="Another.",
        input_model=model,
        output_model=calculator.output_model,
        run=calculator.run,
    )
    called, written = await answer("What is 2 + 2?", [other])
    assert called == []
    assert "not offered in that form" in written


@pytest.mark.parametrize(
    ("operation", "offered"),
    [
        ({"$ref": "#/$defs/Operation"}, True),
        ({"const": "weekday"}, True),
        ({"const": "now"}, False),
        ({"enum": ["now"]}, False),
        ({"$ref": "#/$defs/Unheard"}, False),
        ({"oneOf": [{"type": "null"}, {"type": "string"}]}, True),
    ],
)
async def test_a_schema_is_read_in_the_ways_schemas_are_written(operation, offered):
    parameters = {
        "properties": {"operation": operation, "date": {"type": "string"}},
        "$defs": {"Operation": {"enum": ["weekday", "now"]}},
    }
    request = CompletionRequest(
        messages=(Message("user", "What weekday is 2026-12-25?"),), tools=(ToolSpec("date_time", "", parameters),)
    )
    *_, last = [item async for item in ScriptedProvider().complete(request)]
    assert bool(last.message.tool_calls) is offered


class TestTheProvider:
    async def test_says_that_it_is_no_model_and_counts_no_tokens(self, tools):
        provider = ScriptedProvider()
        events = [event async for event in run_agent(provider, [Message("user", "What is 2 + 2?")], tools=tools)]
        assert isinstance(events[0], RunStarted)
        assert not events[0].is_model
        assert isinstance(events[-1], RunEnded)
        result = events[-1].result
        assert result.usage == Usage(None, None, "unknown")
        assert [step.name for step in result.steps] == ["scripted", "calculator", "scripted"]
        assert result.steps[0].request["tools"] == ["calculator", "text_statistics", "date_time"]
        pieces = [event.text for event in events if isinstance(event, TextStreamed)]
        assert "".join(pieces) == result.answer
        assert len(pieces) > 10
        await provider.ping()
        await provider.aclose()

    async def test_reads_the_last_message_of_the_user_only(self, tools):
        before = [
            Message("system", "What is 9 * 9?"),
            Message("user", "What is 1 + 1?"),
            Message("assistant", "", (ToolCall("rule_1_1", "calculator", {"expression": "1 + 1"}),)),
            Message("tool", '{"result": "2"}', tool_call_id="rule_1_1"),
            Message("assistant", "1 + 1 = 2."),
        ]
        called, _ = await answer("What is 3 + 3?", tools, before)
        assert called == [("calculator", {"expression": "3 + 3"})]

    async def test_does_the_same_with_the_same(self, tools):
        request = CompletionRequest(
            messages=(Message("user", "What is 2 + 2?"),), tools=tuple(tool_spec(tool) for tool in tools)
        )
        answers = [[item async for item in ScriptedProvider().complete(request)] for _ in range(2)]
        assert answers[0] == answers[1]

    async def test_without_a_question_asks_for_one(self):
        *texts, last = [item async for item in ScriptedProvider().complete(CompletionRequest(messages=()))]
        assert all(isinstance(item, TextDelta) for item in texts)
        assert isinstance(last, Completion)
        assert (last.model, last.finish_reason) == ("scripted", "stop")

    @pytest.mark.parametrize(
        ("results", "said"),
        [
            ({"rule_0_1": "nonsense"}, "2 + 2: calculator gave nonsense"),
            ({"rule_0_1": "[4]"}, "2 + 2: calculator gave [4]"),
            ({"rule_0_1": '{"value": 4}'}, '2 + 2: calculator gave {"value": 4}'),
            ({"rule_0_1": '{"error": "Too hard."}'}, "2 + 2: calculator could not answer. Too hard."),
            ({"rule_0_1": '{"result": "4", "error": null}'}, "2 + 2 = 4."),
            ({"rule_0_1": '{"result": "4", "exact": true}'}, "2 + 2 = 4."),
            ({"rule_0_1": '{"result": "4", "exact": false}'}, "2 + 2 ≈ 4."),
            ({"other": "{}"}, "2 + 2: the tool calculator was not run."),
        ],
    )
    async def test_makes_nothing_up_about_a_result_it_cannot_read(self, calculator, results, said):
        messages = [Message("user", "What is 2 + 2?")]
        messages += [Message("tool", content, tool_call_id=key) for key, content in results.items()]
        request = CompletionRequest(messages=tuple(messages), tools=(tool_spec(calculator),))
        *_, last = [item async for item in ScriptedProvider().complete(request)]
        assert last.message.content.startswith(said)


@pytest.mark.parametrize(
    ("result", "said"), [("59", "59 days."), ("1", "1 day."), ("-2", "-2 days."), ("59 days", "59 days.")]
)
async def test_days_are_named_once_whether_or_not_the_tool_names_them(result, said):
    parameters = {"properties": {name: {"type": "string"} for name in ("operation", "start", "end")}}
    messages = (
        Message("user", "How many days between 2026-01-01 and 2026-03-01?"),
        Message("tool", json.dumps({"result": result}), tool_call_id="rule_0_1"),
    )
    request = CompletionRequest(messages=messages, tools=(ToolSpec("date_time", "", parameters),))
    *_, last = [item async for item in ScriptedProvider().complete(request)]
    assert last.message.content.startswith(f"From 2026-01-01 to 2026-03-01: {said}\n")


async def test_hostile_text_is_read_in_no_time(tools):
    from time import perf_counter

    specs = tuple(tool_spec(tool) for tool in tools)
    pieces = ["1,", "1", "(", "1+", '"', "how many words ", "days from ", "'a ", "1 % of ", " ", "a\n", "? ", "2+2? "]
    for piece in pieces:
        for size in (3_990, 100_000):
            text = (piece * size)[:size]
            began = perf_counter()
            async for _ in ScriptedProvider().complete(
                CompletionRequest(messages=(Message("user", text),), tools=specs)
            ):
                pass
            assert perf_counter() - began < 2, json.dumps(piece)
