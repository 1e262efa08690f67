"""Evidence that is missing, damaged or of the wrong type fails closed and never raises."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from sleepd.adapter.expected import Expected
from sleepd.adapter.gate import judge
from tests.adapter.evidence import LIMITS, Result, parent_of, put


def paths(value: object, above: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every value in a document, of lists only the first item."""
    items = value.items() if isinstance(value, dict) else enumerate(value[:1]) if isinstance(value, list) else ()
    return [path for key, below in items for path in ((*above, key), *paths(below, (*above, key)))]


# Recorded by the child for people, not for the gate.
UNJUDGED = {"format", "cycle", "kind", "canaries", "epochs", "prompt"}


def test_any_missing_key_fails_closed(result: Result, expected: Expected) -> None:
    for path in paths(result):
        if UNJUDGED & set(path) or isinstance(path[-1], int):
            continue
        damaged = copy.deepcopy(result)
        parent, key = parent_of(damaged, path)
        del parent[key]
        report = judge(damaged, LIMITS, expected)
        assert not report.accepted, path
        assert "missing" in report.reasons[0], (path, report.reasons)


WRONG: list[object] = [None, "text", [], {}, [[]], float("nan"), float("inf"), -1, 10**400]


@pytest.mark.parametrize("wrong", WRONG, ids=[str(w)[:8] for w in WRONG])
def test_any_value_of_the_wrong_type_fails_closed(result: Result, expected: Expected, wrong: object) -> None:
    for path in paths(result):
        if UNJUDGED & set(path) or {"card_id", "item", "question"} & set(path):
            continue
        if (path, wrong) in ((("refusal",), None), (("evaluation", "new"), []), (("training", "final_loss"), -1)):
            continue  # a night that refused nothing, a night of examples, and a loss that is a number
        damaged = copy.deepcopy(result)
        put(damaged, path, wrong)
        assert not judge(damaged, LIMITS, expected).accepted, path


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("evaluation.rehearsal", [], "0 items"),
        ("evaluation.rehearsal", [{"prompt": "p", "same": True, "kl": 0.0}] * 7, "7 items"),
        ("evaluation.text.tokens", [1] * 39, "39 token"),
        ("evaluation.text", {"base": [], "candidate": [], "tokens": []}, "0 passages"),
        ("evaluation.text.tokens", [0] + [9] * 39, "without tokens"),
        ("evaluation.text.candidate", [-0.1] + [2.0] * 39, "below zero"),
        ("evaluation.collapse.base.mean_words", 0, "answered nothing"),
        ("evaluation.new.0.candidate", [True] * 3, "3 candidate answers"),
        ("evaluation.new.0.card_id", "n1", "twice"),
        ("evaluation.old.0.card_id", "o1", "twice"),
        ("evaluation.general", [], "0 items"),
        ("evaluation.general.0.item", "g1", "twice"),
        ("evaluation.neighbours", [{"card_id": "c", "question": "q", "same": True, "leaked": False}] * 49, "49 questions"),
        ("evaluation.neighbours.0.question", "q1", "twice"),
        ("evaluation.identity", [], "identity is empty"),
        ("evaluation.identity.0.item", "identity1", "twice"),
        ("evaluation.identity.0.kind", "manners", "unknown kind manners"),
    ],
)
def test_evidence_that_cannot_be_judged_says_why(result: Result, expected: Expected, path: str, value: object, words: str) -> None:
    put(result, path, value)
    report = judge(result, LIMITS, expected)
    assert any(words in reason for reason in report.reasons), report.reasons


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda below: (
        st.lists(below, max_size=4) | st.dictionaries(st.sampled_from(["new", "old", "text", "base", "candidate", "x"]), below, max_size=4)
    ),
    max_leaves=12,
)


@given(data=st.data())
@hypothesis_settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_result_whatever_makes_the_gate_raise(result: Result, expected: Expected, data: st.DataObject) -> None:
    damaged = copy.deepcopy(result)
    put(damaged, data.draw(st.sampled_from([path for path in paths(damaged) if len(path) < 5])), data.draw(JSON))
    for check in judge(damaged, LIMITS, expected).checks:
        assert check.ok or check.detail
