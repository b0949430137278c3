import asyncio
import json
import logging
import threading

import pytest
from pydantic import BaseModel, Field

from mainspring.ai import FunctionTool, Tool, ToolCall, call_tool, in_thread, tool_spec
from mainspring.ai._tools import by_name
from mainspring.errors import NotFound


class Given(BaseModel):
    count: int = Field(ge=0, description="How many.")


class Made(BaseModel):
    text: str


def tool(run, *, name="maker", timeout=5.0):
    return FunctionTool(name=name, description="Makes.", input_model=Given, output_model=Made, run=run, timeout=timeout)


async def make(given: Given) -> Made:
    return Made(text="x" * given.count)


async def call(made: Tool, arguments=None, *, name="maker", malformed=None, most=1000):
    wanted = ToolCall("c1", name, {"count": 1} if arguments is None else arguments, malformed)
    return await call_tool(by_name([made]), wanted, max_output_bytes=most)


def test_a_model_sees_the_schema_of_the_input():
    spec = tool_spec(tool(make))
    assert (spec.name, spec.description) == ("maker", "Makes.")
    assert spec.parameters["properties"]["count"] == {
        "description": "How many.",
        "minimum": 0,
        "title": "Count",
        "type": "integer",
    }
    assert spec.parameters["required"] == ["count"]


def test_two_tools_of_one_name_are_refused():
    with pytest.raises(ValueError, match="Two tools are named 'maker'"):
        by_name([tool(make), tool(make, timeout=1.0)])


async def test_a_call_gives_the_output_as_json_and_as_values():
    result = await call(tool(make), {"count": 3})
    assert json.loads(result.content) == result.output == {"text": "xxx"}
    assert result.error is None
    assert result.milliseconds >= 0


async def test_a_class_with_the_right_members_is_a_tool():
    class Maker:
        name = "maker"
        description = "Makes."
        input_model = Given
        output_model = Made
        retry_safe = True
        timeout = 5.0

        async def run(self, given: Given) -> Made:
            return Made(text=f"{given.count}!")

    result = await call(Maker(), {"count": 3})
    assert result.output == {"text": "3!"}


async def test_an_unknown_tool_is_answered_with_those_there_are():
    result = await call(tool(make), name="taker")
    assert result.output is None
    assert result.error == "There is no tool 'taker'. Available: maker."
    assert json.loads(result.content) == {"error": result.error}


async def test_arguments_that_do_not_fit_are_answered_with_where_and_why_and_not_repeated():
    result = await call(tool(make), {"count": "secret"})
    assert result.error.startswith("The arguments do not fit: count: Input should be a valid integer")
    assert "secret" not in result.content


async def test_malformed_arguments_are_answered():
    result = await call(tool(make), {}, malformed='{"count": ')
    assert "not a JSON object" in result.error


async def test_a_tool_that_raises_tells_the_model_nothing_and_the_log_everything(caplog):
    async def fail(given: Given) -> Made:
        raise RuntimeError("password is hunter2")

    result = await call(tool(fail))
    assert result.error == "maker failed. The failure is in the service's log."
    assert "hunter2" in caplog.text


async def test_a_tool_tells_the_model_what_is_wrong_with_an_error_of_the_tree(caplog):
    async def fail(given: Given) -> Made:
        raise NotFound("There is no such file.")

    with caplog.at_level(logging.WARNING):
        result = await call(tool(fail))
    assert result.error == "There is no such file."
    assert not caplog.records


async def test_a_tool_that_takes_too_long_is_stopped():
    stopped = asyncio.Event()

    async def wait(given: Given) -> Made:
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()
        raise AssertionError

    result = await call(tool(wait, timeout=0.01))
    assert result.error == "maker did not finish within 0.01 s."
    assert stopped.is_set()


async def test_a_timeout_of_the_tools_own_is_a_failure_like_any_other():
    async def fail(given: Given) -> Made:
        raise TimeoutError

    result = await call(tool(fail))
    assert result.error == "maker failed. The failure is in the service's log."


async def test_an_output_other_than_promised_is_a_failure():
    async def lie(given: Given):
        return {"words": 3}

    result = await call(tool(lie))
    assert result.error == "maker failed. The failure is in the service's log."


async def test_an_output_past_the_bound_is_refused_and_not_cut():
    result = await call(tool(make), {"count": 90}, most=100)
    assert result.error == "The result has 101 bytes of at most 100. Ask for less."
    assert (await call(tool(make), {"count": 89}, most=100)).error is None


async def test_a_blocking_function_runs_off_the_event_loop():
    def name(given: Given) -> Made:
        return Made(text=str(threading.get_ident()))

    result = await call(tool(in_thread(name)))
    assert result.output["text"] != str(threading.get_ident())
