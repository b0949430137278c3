"""The loggers with fields take any field, and say who called."""

import logging

import pytest

from mainspring.observability import get_logger

log = get_logger("shop")


@pytest.mark.parametrize("name", ["message", "name", "level", "fields", "self", "args", "msg", "event"])
def test_a_field_may_have_any_name(lines, name):
    log.info("Order placed", **{name: "given"})

    (line,) = lines()
    assert line["message"] == "Order placed"
    assert "given" in line["extra"].values()


@pytest.mark.parametrize("name", ["message", "name", "level", "fields", "self"])
def test_a_bound_field_may_have_any_name(lines, name):
    log.bind(**{name: "bound"}).warning("Order placed")

    assert "bound" in lines()[0]["extra"].values()


def test_a_field_of_the_call_wins_over_a_bound_one_and_leaves_the_logger_as_it_was(lines):
    bound = log.bind(tenant="acme")
    bound.info("a", tenant="other")
    bound.info("b")

    assert [line["extra"]["tenant"] for line in lines()] == ["other", "acme"]


@pytest.mark.parametrize("method", ["debug", "info", "warning", "error"])
def test_each_method_is_its_level_and_the_line_names_the_caller(lines, method):
    getattr(log, method)("said")

    (line,) = lines()
    assert line["level"] == method
    assert line["module"] == "test_logger"
    assert line["function"] == "test_each_method_is_its_level_and_the_line_names_the_caller"


def test_without_configuration_the_fields_stand_on_the_record(caplog):
    with caplog.at_level(logging.INFO):
        log.bind(tenant="acme").info("Order placed", order=7)

    assert caplog.records[0].fields == {"tenant": "acme", "order": 7}
