"""The error tree is what its drawing says."""

import copy
import inspect
import pickle
import re
from http import HTTPStatus

import pytest

import mainspring.errors
from mainspring.errors import (
    FieldError,
    InvalidToken,
    MainspringError,
    NotAuthenticated,
    NotFound,
    RateLimited,
    ServiceUnavailable,
    ValidationFailed,
)
from mainspring.errors import _tree as tree

# From the module that holds the tree, so that a class that is not exported is noticed.
CLASSES = [cls for _, cls in inspect.getmembers(tree, inspect.isclass) if issubclass(cls, MainspringError)]
EXPORTED = [
    cls for _, cls in inspect.getmembers(mainspring.errors, inspect.isclass) if issubclass(cls, MainspringError)
]


def test_every_class_of_the_tree_is_public():
    assert EXPORTED == CLASSES


def drawn() -> dict[str, tuple[str, int, int]]:
    """Name, code, status and depth of each line of the drawing."""
    lines = re.findall(r"(?m)^( *(?:│ *)?(?:[├└]── )?)(\w+) +([A-Z_]+) +(\d{3})$", tree.__doc__)
    return {name: (code, int(status), len(indent)) for indent, name, code, status in lines}


def test_the_drawing_shows_every_class_with_its_code_and_status():
    assert {cls.__name__: (cls.code, cls.status) for cls in CLASSES} == {
        name: (code, status) for name, (code, status, _) in drawn().items()
    }


def test_the_drawing_shows_every_class_below_its_parent():
    parents: dict[int, str] = {}
    for name, (_, _, depth) in drawn().items():
        parents = {d: parent for d, parent in parents.items() if d < depth}
        if parents:
            assert [base.__name__ for base in getattr(mainspring.errors, name).__bases__] == [parents[max(parents)]]
        parents[depth] = name


def test_the_drawing_is_in_the_order_of_statuses():
    statuses = [status for _, status, _ in drawn().values()]

    assert statuses[0] == 500
    assert statuses[1:] == sorted(statuses[1:])


def test_codes_are_unique_and_upper_snake_case():
    codes = [cls.code for cls in CLASSES]

    assert len(codes) == len(set(codes))
    assert all(re.fullmatch(r"[A-Z]+(_[A-Z]+)*", code) for code in codes)


@pytest.mark.parametrize("cls", CLASSES)
def test_every_error_has_a_status_of_its_kind_a_title_and_a_docstring(cls):
    assert 400 <= HTTPStatus(cls.status) < 600
    assert cls.title
    assert cls.__doc__


@pytest.mark.parametrize("cls", CLASSES)
def test_an_error_survives_being_copied_and_sent_to_another_process(cls):
    error = cls("No.", errors=[FieldError(("body", 0), "Too short.", "too_short")], retry_after=3)

    for twin in (copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert type(twin) is cls
        assert (twin.message, twin.errors, twin.retry_after) == (error.message, error.errors, error.retry_after)


def test_a_class_that_may_be_retried_says_so_and_a_clients_mistake_does_not():
    assert {cls.__name__ for cls in CLASSES if cls.retryable} == {
        "ConcurrentUpdate",
        "IdempotencyKeyInUse",
        "RateLimited",
        "UpstreamFailed",
        "ServiceUnavailable",
        "DatabaseUnavailable",
        "DeadlineExceeded",
    }


def test_a_services_own_error_takes_what_it_does_not_say_from_its_parent():
    sold_out = type("SoldOut", (NotAuthenticated,), {"code": "SOLD_OUT"})("Gone.", retry_after=2)

    assert (sold_out.code, sold_out.status, sold_out.title) == ("SOLD_OUT", 401, "Not authenticated")
    assert sold_out.headers == {"www-authenticate": "Bearer", "retry-after": "2"}


@pytest.mark.parametrize("cls", CLASSES)
def test_an_error_without_a_message_says_its_title(cls):
    error = cls()

    assert error.message == str(error) == f"{cls.title}."


def test_a_message_and_its_details_are_kept():
    detail = FieldError(("body", "name"), "Too short.", "too_short")
    error = ValidationFailed("1 value is wrong.", errors=[detail])

    assert (error.message, error.errors) == ("1 value is wrong.", (detail,))


@pytest.mark.parametrize(("seconds", "header"), [(-3, "1"), (0, "1"), (0.2, "1"), (1, "1"), (1.4, "2"), (59.6, "60")])
def test_retry_after_is_whole_seconds_never_zero_and_never_too_early(seconds, header):
    assert RateLimited(retry_after=seconds).headers["retry-after"] == header


def test_an_unavailable_service_says_when_to_come_back_even_if_nobody_said():
    assert ServiceUnavailable().headers == {"retry-after": "5"}
    assert ServiceUnavailable(retry_after=30).headers == {"retry-after": "30"}
    assert ServiceUnavailable(retry_after=None).headers == {}
    assert NotFound().headers == {}


def test_every_401_carries_a_challenge():
    challenges = {cls().headers["www-authenticate"] for cls in CLASSES if issubclass(cls, NotAuthenticated)}

    assert all(challenge.startswith("Bearer") for challenge in challenges)
    assert 'error="invalid_token"' in InvalidToken().headers["www-authenticate"]
