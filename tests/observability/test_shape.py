"""No value and no caller can make a line that is lost, misshapen or says somebody else's words."""

import asyncio
import gc
import logging
import math
import re
import threading
import traceback
import warnings
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from pathlib import PurePosixPath
from uuid import UUID

import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from mainspring.observability import LogContext, configure_logging, get_logger, redact, use_context
from tests.observability.capture import Lines

SHAPE = {"timestamp", "level", "message", "logger", "module", "function", "line"}
log = get_logger("shop")


class Unshowable:
    def __repr__(self):
        raise RuntimeError("detached")


class Colour(Enum):
    RED = "red"


def failed(error=None):
    """An exception that was raised and is over."""
    try:
        raise error or ValueError("broken")
    except Exception as raised:  # noqa: BLE001 -- whatever the test hands in
        return raised


def by_the_standard_library(message, level, **extra):
    logging.getLogger("lib").log(getattr(logging, level.upper()), message, extra=extra)


def by_structlog(message, level, **extra):
    getattr(structlog.get_logger("lib"), level)(message, **extra)


def by_our_logger(message, level, **extra):
    getattr(get_logger("lib"), level)(message, **extra)


WRITERS = [by_the_standard_library, by_structlog, by_our_logger]


class TestEveryWriter:
    @pytest.mark.parametrize("write", WRITERS)
    @pytest.mark.parametrize("level", ["debug", "info", "warning", "error"])
    def test_a_line_has_every_documented_field(self, lines, write, level):
        with use_context(LogContext("request-one", trace_id="t" * 32, principal="user-7")):
            write("said", level, order=7)

        (line,) = lines()
        assert set(line) == SHAPE | {"request_id", "trace_id", "principal", "extra"}
        assert (line["level"], line["message"], line["logger"]) == (level, "said", "lib")
        assert (line["module"], line["function"]) == ("test_shape", write.__name__)
        assert (line["request_id"], line["trace_id"], line["principal"]) == ("request-one", "t" * 32, "user-7")
        assert line["extra"] == {"order": 7}

    @pytest.mark.parametrize("write", WRITERS)
    def test_the_time_is_utc_and_now(self, lines, write):
        before = datetime.now(UTC)
        write("said", "info")

        (line,) = lines()
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", line["timestamp"])
        assert before <= datetime.fromisoformat(line["timestamp"]) <= datetime.now(UTC)

    @pytest.mark.parametrize("write", WRITERS)
    @pytest.mark.parametrize(
        "message", ["two\nlines", "\x1b[31mred", 'a "quoted" \\', "nul \x00", "\u2028", "\ud800", "", "100 %s %d %"]
    )
    def test_a_message_of_any_characters_is_one_line(self, lines, write, message):
        write(message, "info")

        assert lines.text.count("\n") == 1
        (line,) = lines()
        assert line["message"] == message

    @pytest.mark.parametrize("name", ["event", "level", "logger", "function", "line", "exception"])
    @pytest.mark.parametrize("ours", [True, False])
    def test_a_field_cannot_speak_for_the_line_and_is_not_lost_either(self, lines, name, ours):
        if ours:
            get_logger("lib").info("real", **{name: "forged"})
        else:
            logging.getLogger("lib").info("real", extra={name: "forged"})

        (line,) = lines()
        assert (line["message"], line["level"], line["logger"]) == ("real", "info", "lib")
        assert line["extra"] == {f"{name}_": "forged"}

    def test_an_extra_called_fields_is_a_field_like_any_other(self, lines):
        logging.getLogger("lib").info("said", extra={"fields": ["a", "b"]})

        assert lines()[0]["extra"] == {"fields": ["a", "b"]}

    def test_what_the_server_and_warnings_say_has_the_shape_too(self, lines):
        logging.getLogger("uvicorn.error").info("Started", extra={"color_message": "\x1b[36mStarted"})
        logging.getLogger("uvicorn.access").info("GET / 200")
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn("old", DeprecationWarning, stacklevel=1)

        started, warned = lines()
        assert set(started) == set(warned) == SHAPE
        assert warned["logger"] == "py.warnings"
        assert "DeprecationWarning: old" in warned["message"]


class TestExceptions:
    @pytest.mark.parametrize(
        "logger", [logging.getLogger("lib"), structlog.get_logger("lib")], ids=["stdlib", "structlog"]
    )
    def test_one_that_is_over_is_told_with_its_traceback(self, lines, logger):
        logger.error("It failed", exc_info=failed())

        (line,) = lines()
        assert line["exception"].startswith("Traceback (most recent call last):")
        assert line["exception"].endswith("ValueError: broken")
        assert "extra" not in line

    def test_it_is_the_one_handed_over_and_not_the_one_being_handled(self, lines):
        earlier = failed(KeyError("earlier"))
        try:
            raise ValueError("now")
        except ValueError:
            logging.getLogger("lib").error("It failed", exc_info=earlier)  # noqa: TRY400 -- another one

        assert "earlier" in lines()[0]["exception"]
        assert "now" not in lines()[0]["exception"]

    def test_causes_are_told_and_a_circle_of_causes_ends(self, lines):
        first, second = failed(ValueError("first")), failed(KeyError("second"))
        first.__cause__, second.__cause__ = second, first

        logging.getLogger("lib").error("It failed", exc_info=first)

        assert "first" in lines()[0]["exception"]
        assert "second" in lines()[0]["exception"]

    def test_a_group_is_one_line(self, lines):
        group = failed(ExceptionGroup("several", [ValueError("a"), ExceptionGroup("inner", [KeyError("b")])]))
        logging.getLogger("lib").error("It failed", exc_info=group)

        assert lines.text.count("\n") == 1
        assert "ValueError: a" in lines()[0]["exception"]
        assert "KeyError: 'b'" in lines()[0]["exception"]

    def test_credentials_in_its_text_are_taken_out(self, lines):
        error = ValueError("postgresql://shop:hunter2@db/shop refused Bearer hunter2hunter2")
        logging.getLogger("lib").error("It failed", exc_info=failed(error))

        assert "hunter2" not in lines.text
        assert "postgresql://shop:[redacted]@db/shop" in lines()[0]["exception"]

    async def test_one_that_a_task_took_to_its_grave_is_told(self, lines):
        async def dies():
            raise ValueError("unseen")

        task = asyncio.create_task(dies())
        await asyncio.wait([task])
        del task
        gc.collect()

        (line,) = lines(logger="asyncio", level="error")
        assert "never retrieved" in line["message"]
        assert line["exception"].endswith("ValueError: unseen")

    def test_none_when_there_is_none(self, lines):
        logging.getLogger("lib").error("It failed", exc_info=True)  # noqa: LOG014 -- what a library may do

        assert "Traceback" not in lines.text


ODD = [
    object(),
    Unshowable(),
    {1, 2},
    b"\xff\x00",
    2**70,
    -(2**70),
    math.nan,
    math.inf,
    "\ud800",
    {("a",): 1},
    {1: 2, None: 3, 1.5: 4},
    {b"key": b"value"},
    {Unshowable: Unshowable()},
    [Unshowable(), {"deep": Unshowable()}],
    Decimal("1.50"),
    PurePosixPath("/etc"),
    datetime(2026, 7, 1, tzinfo=UTC),
    date(2026, 7, 1),
    UUID(int=7),
    Colour.RED,
    ValueError("x"),
    lambda: None,
    Exception,
    threading.Lock(),
    (i for i in range(3)),
    memoryview(b"x"),
    range(3),
    1 + 2j,
]


class TestOddValues:
    @pytest.mark.parametrize("value", ODD, ids=lambda value: type(value).__name__)
    def test_a_value_that_cannot_be_written_does_not_lose_the_line_nor_its_neighbours(self, value, capsys):
        lines = Lines()
        configure_logging(form="json", stream=lines.stream)
        log.info("odd", before="b-1", value=value, after="a-1")

        (line,) = lines()
        assert line["extra"].keys() == {"before", "value", "after"}
        assert (line["extra"]["before"], line["extra"]["after"]) == ("b-1", "a-1")
        assert capsys.readouterr().err == ""

    def test_values_keep_the_form_that_json_has_for_them(self, lines):
        log.info("known", at=datetime(2026, 7, 1, tzinfo=UTC), id=UUID(int=7), colour=Colour.RED, n=None, b=True, f=1.5)

        assert lines()[0]["extra"] == {
            "at": "2026-07-01T00:00:00+00:00",
            "id": "00000000-0000-0000-0000-000000000007",
            "colour": "red",
            "n": None,
            "b": True,
            "f": 1.5,
        }

    def test_one_odd_value_leaves_the_others_their_types(self, lines):
        log.info("odd", big=2**70, nested={"n": 1, "list": [1, math.nan]})

        assert lines()[0]["extra"] == {"big": 2**70, "nested": {"n": 1, "list": [1, None]}}

    def test_an_object_that_cannot_be_shown_says_what_it_is(self, lines):
        log.info("odd", value=Unshowable())

        assert lines()[0]["extra"]["value"] == "<Unshowable that cannot be shown: RuntimeError>"

    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers() | st.binary(), inner),
            max_leaves=20,
        )
    )
    def test_whatever_is_logged_is_one_json_line(self, value):
        lines = Lines()
        configure_logging(form="json", stream=lines.stream)
        log.info("any", value=value)

        (line,) = lines()
        assert line["message"] == "any"
        assert "value" in line["extra"]


class TestEndlessValues:
    def test_what_contains_itself_is_cut_off(self, lines):
        mapping: dict = {"name": "x"}
        mapping["self"] = mapping
        sequence: list = [1]
        sequence.append(sequence)
        log.info("circles", mapping=mapping, sequence=sequence)

        (line,) = lines()
        assert line["extra"]["mapping"]["self"]["self"]["name"] == "x"
        assert "[too deep]" in lines.text

    def test_what_is_nested_a_thousand_times_is_cut_off(self, lines):
        value: list | dict = {"password": "hunter2"}
        for _ in range(5000):
            value = {"inner": [value]}
        log.info("deep", value=value)

        assert len(lines()) == 1
        assert len(lines.text) < 1000

    def test_a_secret_cannot_hide_below_the_bound(self, lines):
        value = {"password": "hunter2"}
        for depth in range(12):
            log.info("deep", depth=depth, value=value)
            value = {"inner": value}

        assert "hunter2" not in lines.text

    def test_circles_on_the_console_end_too(self):
        lines = Lines()
        configure_logging(form="console", stream=lines.stream)
        circle: dict = {}
        circle["self"] = circle
        log.info("circle", circle=circle)

        assert "circle" in lines.text


@dataclass
class Account:
    email: str
    password: str


class Login(BaseModel):
    email: str
    password: str
    inner: Account | None = None


class TestSecrets:
    @pytest.mark.parametrize(
        "value",
        [
            {"password": "hunter2"},
            {"accessToken": "hunter2", "clientSecret": "hunter2", "xApiKey": "hunter2", "sessionId": "hunter2"},
            {"aws_secret_access_key": "hunter2", "new_password2": "hunter2", "ID-Token": "hunter2"},
            {b"authorization": b"hunter2"},
            [(b"cookie", b"hunter2"), ("Set-Cookie", "hunter2")],
            Account("a@example.com", "hunter2"),
            Login(email="a@example.com", password="hunter2", inner=Account("b@example.com", "hunter2")),
            [{"deep": (Account("a", "hunter2"),)}],
            "Authorization: Bearer hunter2hunter2",
            b"Authorization: Basic aHVudGVyMjpodW50ZXIy",
            "redis://:hunter2@cache:6379/0 and postgresql+asyncpg://shop:hunter2@db/shop",
        ],
        ids=str,
    )
    @pytest.mark.parametrize("form", ["json", "console"])
    def test_they_are_left_out_wherever_they_stand(self, value, form):
        lines = Lines()
        configure_logging(form=form, stream=lines.stream)
        log.info("said", value=value)
        logging.getLogger("lib").info("said", extra={"value": value})
        structlog.get_logger("lib").info("said", value=value)

        assert lines.text.count("said") >= 3
        assert "hunter2" not in lines.text
        assert "aHVudGVyMj" not in lines.text

    @pytest.mark.parametrize(
        "value",
        [
            {"input_tokens": 5, "tokenizer": "bpe", "maxTokens": 7},
            {"cookies_accepted": True, "passwordless": True, "secretary": "Ann", "monkey": 1, "keyboard": "de"},
            "a basic idea of who is the bearer of the ring",
            "see https://example.com/@user and write to a@example.com",
            "http://[::1]:80/x?mail=a@example.com",
        ],
        ids=str,
    )
    def test_what_only_looks_like_one_is_left_as_it_is(self, value):
        assert redact(value) == value

    @given(st.recursive(st.none() | st.integers() | st.text(), lambda i: st.lists(i) | st.dictionaries(st.text(), i)))
    def test_redacting_twice_is_redacting_once(self, value):
        once = redact(value)

        assert redact(once) == once

    def test_a_class_is_no_instance_of_itself(self):
        assert redact(Account) is Account
        assert redact(Login) is Login


class TestLevelsAndForms:
    @pytest.mark.parametrize("write", WRITERS)
    def test_the_level_holds_for_every_writer(self, write):
        lines = Lines()
        configure_logging(level="WARNING", form="json", stream=lines.stream)
        for level in ("debug", "info", "warning", "error"):
            write(level, level)

        assert [line["message"] for line in lines()] == ["warning", "error"]

    def test_a_new_configuration_takes_the_place_of_the_old_one(self):
        old, new = Lines(), Lines()
        configure_logging(form="json", stream=old.stream)
        log.info("first")
        configure_logging(form="json", stream=new.stream)
        configure_logging(form="json", stream=new.stream)
        log.info("second")

        assert [line["message"] for line in old()] == ["first"]
        assert [line["message"] for line in new()] == ["second"]

    def test_a_new_configuration_writes_first_what_the_old_one_still_had(self, tmp_path):
        with (tmp_path / "log").open("w") as stream:
            configure_logging(form="json", stream=stream)
            log.info("first")
            configure_logging(form="json", stream=Lines().stream)

            assert "first" in (tmp_path / "log").read_text()

    def test_auto_is_json_where_nobody_looks(self):
        lines = Lines()
        configure_logging(stream=lines.stream)
        log.info("said")

        assert lines()[0]["message"] == "said"

    def test_an_exception_on_the_console_is_a_traceback_without_the_values_of_variables(self):
        lines = Lines()
        configure_logging(form="console", stream=lines.stream)

        def sign_in():
            password = "hun" + "ter2"
            raise ValueError("no " + password[:0])

        try:
            sign_in()
        except ValueError:
            log.exception("It failed")

        assert "ValueError" in lines.text
        assert "hunter2" not in lines.text

    def test_a_stream_that_breaks_is_reported_and_the_caller_goes_on(self, capsys):
        lines = Lines()
        configure_logging(form="json", stream=lines.stream)
        lines.stream.close()

        log.info("said")

        assert "ValueError" in capsys.readouterr().err


def test_threads_write_whole_lines_with_their_own_context(lines):
    def work(name):
        with use_context(LogContext(name)):
            for number in range(200):
                log.info("step", number=number)

    threads = [threading.Thread(target=work, args=(f"request-{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    written = lines()
    assert len(written) == 800
    for name in ("request-0", "request-3"):
        assert [line["extra"]["number"] for line in written if line["request_id"] == name] == list(range(200))


def test_a_traceback_of_many_frames_is_kept_whole(lines):
    def fall(depth):
        if depth == 0:
            raise ValueError("at the bottom")
        fall(depth - 1)

    try:
        fall(50)
    except ValueError as error:
        expected = "".join(traceback.format_exception(error)).strip()
        log.exception("It failed")

    assert lines()[0]["exception"] == expected
