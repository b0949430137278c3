"""The judge: what was told against what is stored."""

import json

import pytest

from chaos.journal import Effect, Journal
from chaos.ledger import Findings
from chaos.wire import Answer


def told(status, transfer_id="t1", *, replayed=False):
    headers = {"idempotency-replayed": "true"} if replayed else {}
    return Answer(status, headers, json.dumps({"id": transfer_id}).encode())


@pytest.mark.parametrize(
    ("effect", "answers", "stored", "promises"),
    [
        # What may be.
        ({}, [told(201)], ["t1"], []),
        ({}, [told(409)], [], []),
        ({}, [None], [], []),
        ({}, [None], ["t1"], []),
        ({"keyed": True}, [None, told(409), told(201, replayed=True)], ["t1"], []),
        ({"keyed": True}, [told(201), told(201, replayed=True)], ["t1"], []),
        ({"ambiguous": True}, [told(503)], ["t1"], []),
        ({"doomed": True}, [told(409), None], [], []),
        # What may not.
        ({}, [told(201)], [], [1]),
        ({}, [told(201)], ["another"], [1]),
        ({}, [told(409)], ["t1"], [2]),
        ({}, [told(503)], ["t1"], [2]),
        ({"ambiguous": True}, [told(409)], ["t1"], [2]),
        ({}, [None], ["t1", "t2"], [2]),
        ({"doomed": True}, [told(201)], [], [1, 1]),
        ({"doomed": True}, [None], ["t1"], [2]),
        ({"keyed": True}, [None], ["t1", "t2"], [4]),
        ({"keyed": True}, [told(201), told(201)], ["t1"], [4]),
        ({"keyed": True}, [told(201), told(201, "t2", replayed=True)], ["t1"], [4]),
    ],
)
def test_what_clients_were_told_is_compared_with_what_is_stored(effect, answers, stored, promises):
    asked = Effect("a", told=answers, **effect)

    assert [violation.promise for violation in asked.violations(stored)] == promises


@pytest.mark.parametrize(
    ("answers", "stored", "unheard"),
    [
        ([told(201)], ["t1"], False),
        ([None], [], False),
        ([None], ["t1"], True),
        ([None, told(201, replayed=True)], ["t1"], True),
        ([None, told(201)], ["t1"], False),
    ],
)
def test_an_effect_is_unheard_of_when_who_asked_first_was_not_told(answers, stored, unheard):
    assert Effect("a", told=answers).was_unheard(stored) is unheard


class TestJournal:
    @pytest.fixture
    def journal(self):
        journal = Journal()
        journal.effect("a").told.append(told(201))
        return journal

    def test_finds_nothing_where_all_adds_up(self, journal):
        assert list(journal.violations(Findings([[], [], [], [("a", "t1")], [("c", 0)]]))) == []

    @pytest.mark.parametrize(
        ("findings", "promise"),
        [
            ([[("a", 1, 5)], [], [], [("a", "t1")], []], 2),
            ([[], [("nobody", 5)], [], [("a", "t1")], []], 2),
            ([[], [], [("x", 1, 2)], [("a", "t1")], []], 2),
            ([[], [], [], [("a", "t1"), ("b", "t2")], []], 2),
            ([[], [], [], [("a", "t1")], [("c", 1)]], 5),
        ],
        ids=["half a transfer", "an orphan", "a balance", "a transfer that nobody wanted", "a counter"],
    )
    def test_finds_what_does_not_add_up(self, journal, findings, promise):
        assert [violation.promise for violation in journal.violations(Findings(findings))] == [promise]
