"""Every record, whoever wrote it, is one line of one shape."""

import asyncio
import io
import json
import logging
import warnings
from datetime import UTC, datetime

import pytest
import structlog

from mainspring.observability import (
    ACCESS,
    REDACTED,
    LogContext,
    configure_logging,
    current_context,
    get_logger,
    redact,
    use_context,
)
from mainspring.observability._access import straight_to


@pytest.fixture(autouse=True)
def restored():
    root = logging.getLogger()
    kept = (root.handlers[:], root.level)
    names = ("uvicorn", "uvicorn.error", "uvicorn.access")
    propagated = {name: logging.getLogger(name).propagate for name in names}
    yield
    straight_to(None)
    root.handlers[:], root.level = kept
    for name, value in propagated.items():
        logging.getLogger(name).propagate = value
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


@pytest.fixture
def stream():
    stream = io.StringIO()
    configure_logging(form="json", stream=stream)
    return stream


def lines(stream):
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_says_when_how_bad_what_and_where(stream):
    get_logger("shop.orders").info("Order placed", order_id=7)

    (line,) = lines(stream)
    assert datetime.fromisoformat(line["timestamp"]).utcoffset() == datetime.now(UTC).utcoffset()
    assert (line["level"], line["message"], line["logger"]) == ("info", "Order placed", "shop.orders")
    assert (line["module"], line["function"]) == (
        "test_logging",
        "test_a_line_says_when_how_bad_what_and_where",
    )
    assert line["line"] > 0
    assert line["extra"] == {"order_id": 7}


def test_everybodys_records_have_the_same_shape(stream):
    logging.getLogger("library").warning("took %d tries", 3, extra={"host": "db"})
    structlog.get_logger("theirs").info("event", key="value")
    logging.getLogger("uvicorn.error").info("Started", extra={"color_message": "\x1b[36mStarted"})
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old", DeprecationWarning, stacklevel=1)

    written = lines(stream)
    assert [line["message"] for line in written[:3]] == ["took 3 tries", "event", "Started"]
    assert written[0]["extra"] == {"host": "db"}
    assert written[1]["extra"] == {"key": "value"}
    assert "extra" not in written[2]
    assert "DeprecationWarning: old" in written[3]["message"]
    for line in written:
        assert {"timestamp", "level", "message", "logger", "module", "function", "line"} <= set(line)


def test_an_exception_is_one_field_on_the_same_line(stream):
    try:
        raise ValueError("broken")
    except ValueError:
        get_logger("shop").exception("It failed")

    (line,) = lines(stream)
    assert line["exception"].endswith("ValueError: broken")
    assert "Traceback" in line["exception"]


def test_the_request_and_who_acts_are_on_every_line_within_the_request(stream):
    with use_context(LogContext("request-one")) as context:
        get_logger("shop").info("first")
        context.principal = "user-7"
        logging.getLogger("library").info("second")
    get_logger("shop").info("third")

    first, second, third = lines(stream)
    assert (first["request_id"], "principal" in first) == ("request-one", False)
    assert (second["request_id"], second["principal"]) == ("request-one", "user-7")
    assert "request_id" not in third


async def test_tasks_and_threads_of_a_request_carry_its_id(stream):
    with use_context(LogContext("request-one")):
        await asyncio.gather(
            asyncio.to_thread(get_logger("shop").info, "thread"), asyncio.create_task(asyncio.sleep(0))
        )

    assert lines(stream)[0]["request_id"] == "request-one"
    assert current_context() is None


def test_what_is_less_severe_than_the_level_is_not_written(stream):
    get_logger("shop").debug("quiet")
    configure_logging(level="DEBUG", form="json", stream=stream)
    get_logger("shop").debug("loud")

    assert [line["message"] for line in lines(stream)] == ["loud"]


def test_configuring_twice_does_not_write_twice(stream):
    configure_logging(form="json", stream=stream)
    get_logger("shop").info("once")

    assert len(lines(stream)) == 1


def test_fields_bound_to_a_logger_are_on_all_its_lines(stream):
    log = get_logger("shop").bind(tenant="acme")
    log.warning("a", order=1)
    log.error("b")

    assert [line["extra"] for line in lines(stream)] == [{"tenant": "acme", "order": 1}, {"tenant": "acme"}]


@pytest.mark.parametrize("value", [object(), {1, 2}, b"\xff", 2**70, float("nan"), "\ud800", {("a",): 1}])
def test_a_value_that_json_does_not_know_does_not_lose_the_line(stream, value):
    get_logger("shop").info("odd", value=value)

    assert lines(stream)[0]["message"] == "odd"


def test_a_field_cannot_take_the_place_of_the_lines_own(stream):
    get_logger("shop").info("real", level="fake", event="fake", timestamp="fake")

    (line,) = lines(stream)
    assert (line["message"], line["level"]) == ("real", "info")


def test_secrets_are_left_out_of_lines(stream):
    get_logger("shop").info(
        "signed in",
        password="hunter2",
        nested={"refresh_token": "hunter2", "items": [{"api-key": "hunter2"}]},
        header="Bearer hunter2hunter2",
        input_tokens=5,
    )

    (line,) = lines(stream)
    assert "hunter2" not in stream.getvalue()
    assert line["extra"]["password"] == REDACTED
    assert line["extra"]["input_tokens"] == 5


def test_on_a_terminal_a_line_is_for_people():
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal = Terminal()
    configure_logging(stream=terminal)
    with use_context(LogContext("0123456789abcdef")):
        get_logger("shop").info("Order placed", order_id=7)

    assert "Order placed" in terminal.getvalue()
    assert "\x1b[" in terminal.getvalue()
    assert "89abcdef" in terminal.getvalue()


def test_the_console_form_in_a_pipe_has_no_colours():
    pipe = io.StringIO()
    configure_logging(form="console", stream=pipe)
    get_logger("shop").info("Order placed")

    assert "Order placed" in pipe.getvalue()
    assert "\x1b[" not in pipe.getvalue()


def test_an_access_line_for_people_does_not_say_everything_twice():
    pipe = io.StringIO()
    configure_logging(form="console", stream=pipe)
    get_logger(ACCESS).info("GET /orders 200", method="GET", path="/orders", status=200, duration_ms=1.5)

    assert "GET /orders 200" in pipe.getvalue()
    assert "duration_ms=1.5" in pipe.getvalue()
    assert "method" not in pipe.getvalue()


def test_a_traceback_for_people_shows_no_local_variable():
    pipe = io.StringIO()
    configure_logging(form="console", stream=pipe)
    try:
        secret = "hunter" + "2"
        raise ValueError(len(secret))
    except ValueError:
        get_logger("shop").exception("It failed")

    assert "ValueError: 7" in pipe.getvalue()
    assert "hunter2" not in pipe.getvalue()


class TestRedaction:
    @pytest.mark.parametrize(
        "name",
        [
            "password",
            "PASSWORD",
            "user_password",
            "password_confirm",
            "hashed_password",
            "token",
            "access_token",
            "refresh-token",
            "token_hash",
            "api_key",
            "x-api-key",
            "apikey",
            "authorization",
            "Set-Cookie",
            "client_secret",
            "secret_key",
            "private_key",
            "session_id",
            "credentials",
        ],
    )
    def test_a_name_that_holds_secrets_is_recognised(self, name):
        assert redact({name: "x"}) == {name: REDACTED}

    @pytest.mark.parametrize(
        "name", ["input_tokens", "tokenizer", "passwordless", "keyboard", "cookies_accepted", "path"]
    )
    def test_a_name_that_only_looks_like_one_is_left_alone(self, name):
        assert redact({name: "x"}) == {name: "x"}

    def test_credentials_in_a_text_are_taken_out_and_the_text_kept(self):
        assert (
            redact("sent Authorization: Bearer abcdefghij.klm today") == f"sent Authorization: Bearer {REDACTED} today"
        )
        assert redact("Basic YWxhZGRpbjpvcGVu") == f"Basic {REDACTED}"
        assert redact("a basic idea") == "a basic idea"

    def test_something_that_contains_itself_ends(self):
        circle: dict = {"name": "x"}
        circle["self"] = circle

        redact(circle)

    def test_what_is_redacted_is_a_copy(self):
        given = {"password": "x", "list": [1]}

        redact(given)

        assert given == {"password": "x", "list": [1]}
