"""The catalogue lists what a service can answer with."""

import pytest

import mainspring.errors
from mainspring.errors import Conflict, MainspringError, catalogue


class SoldOut(Conflict):
    """The article is sold out."""

    code = "SOLD_OUT"
    title = "Sold out"


def test_it_is_ordered_by_status_and_code():
    entries = [(entry.status, entry.code) for entry in catalogue([SoldOut])]

    assert entries == sorted(entries)
    assert (409, "SOLD_OUT") in entries[:-1]


def test_it_says_of_each_error_of_the_chassis_what_its_class_says():
    entries = {entry.code: entry for entry in catalogue()}
    classes = [getattr(mainspring.errors, name) for name in mainspring.errors.__all__]
    errors = {cls.code: cls for cls in classes if isinstance(cls, type) and issubclass(cls, MainspringError)}

    assert entries.keys() == errors.keys()
    for code, cls in errors.items():
        assert (entries[code].status, entries[code].title, entries[code].retryable) == (
            cls.status,
            cls.title,
            cls.retryable,
        )


def test_a_description_is_one_paragraph_for_whoever_meets_the_error():
    assert [entry.code for entry in catalogue() if "\n\n" in entry.description] == []


def test_an_error_without_a_docstring_is_described_by_its_title_and_not_as_its_parent():
    silent = type("Silent", (Conflict,), {"code": "SILENT", "title": "Nothing to say"})

    assert {entry.code: entry.description for entry in catalogue([silent])}["SILENT"] == "Nothing to say"


def test_a_services_own_error_is_listed_when_it_is_declared_and_only_then():
    assert "SOLD_OUT" not in {entry.code for entry in catalogue()}
    (own,) = [entry for entry in catalogue([SoldOut]) if entry.code == "SOLD_OUT"]
    assert (own.status, own.title, own.description) == (409, "Sold out", "The article is sold out.")


def test_an_error_declared_twice_is_listed_once():
    assert [entry.code for entry in catalogue([SoldOut, SoldOut, ValueError])].count("SOLD_OUT") == 1


def test_two_errors_with_one_code_are_refused():
    other = type("Other", (MainspringError,), {"code": "SOLD_OUT"})

    with pytest.raises(ValueError, match="SoldOut and Other share the code 'SOLD_OUT'"):
        catalogue([SoldOut, other])


def test_a_subclass_that_forgot_its_own_code_is_refused():
    nameless = type("Nameless", (Conflict,), {})

    with pytest.raises(ValueError, match="Conflict and Nameless share the code 'CONFLICT'; give one another code"):
        catalogue([nameless])
