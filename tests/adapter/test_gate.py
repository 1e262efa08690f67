"""The gate: a clean night passes, every kind of damage is refused for its own reason, and bad evidence fails closed."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from sleepd.adapter.expected import Expected, expect
from sleepd.adapter.gate import CHECKS, GateLimits, judge
from sleepd.errors import BadJobError, StoreError
from sleepd.records import GateCheck, GateReport

LIMITS = GateLimits()
Result = dict[str, Any]


def failed(report: GateReport) -> dict[str, GateCheck]:
    return {check.name: check for check in report.checks if not check.ok}


def parent_of(document: Any, path: str | tuple[Any, ...]) -> tuple[Any, Any]:
    """The container of the value at ``path``, and its key there."""
    *parents, last = path.split(".") if isinstance(path, str) else path
    for key in parents:
        document = document[int(key) if isinstance(document, list) else key]
    return document, int(last) if isinstance(document, list) else last


def put(document: Any, path: str | tuple[Any, ...], value: object) -> None:
    parent, key = parent_of(document, path)
    parent[key] = value


def test_a_clean_night_is_accepted_with_numbers_in_every_check(result: Result, expected: Expected) -> None:
    report = judge(result, LIMITS, expected)
    assert report.accepted, report.reasons
    assert [check.name for check in report.checks] == [name for name, _ in CHECKS]
    assert all(check.numbers and check.detail for check in report.checks)
    json.dumps([dict(check.numbers) for check in report.checks], allow_nan=False)


def test_the_verdict_is_computed_again_the_same(result: Result, expected: Expected) -> None:
    assert judge(result, LIMITS, expected) == judge(copy.deepcopy(result), LIMITS, expected)


DAMAGE: list[tuple[str, str, object, str]] = [
    ("base_sha256", "integrity", "d" * 64, "trained on base dddd"),
    ("job_id", "integrity", "another", "made for job another"),
    ("adapter.finite", "integrity", False, "not finite"),
    ("adapter.changed", "integrity", False, "did not change"),
    ("adapter.trainable_parameters", "integrity", 0, "frozen"),
    ("adapter.norm_ratio", "integrity", 1.001, "1.0010"),
    ("adapter.norm_ratio", "integrity", -0.1, "-0.1"),
    ("adapter.norm_ratio", "integrity", float("nan"), "nan"),
    ("adapter.scale", "integrity", 0.0, "scale 0"),
    ("adapter.sha256", "integrity", "e" * 64, "not the hash of adapter_model.safetensors"),
    ("adapter.files", "integrity", {"adapter_model.bin": "a" * 64}, "adapter_model.bin"),
    ("refusal", "trained", "no usable card", "nothing was trained: no usable card"),
    ("adapter", "trained", None, "made no adapter"),
    ("training.steps", "trained", 0, "0 steps"),
    ("training.final_loss", "trained", float("nan"), "nan"),
    ("evaluation.collapse.candidate.distinct3", "collapse", 0.69, "distinct3 0.69 is under"),
    ("evaluation.collapse.candidate.distinct3", "collapse", 0.87, "under 0.88"),
    ("evaluation.collapse.candidate.repeated_share", "collapse", 0.06, "repeated_share"),
    ("evaluation.collapse.candidate.questions_per_reply", "collapse", 0.91, "questions_per_reply"),
    ("evaluation.collapse.candidate.mean_words", "collapse", 31.0, "over 30.8"),
    ("evaluation.collapse.candidate.mean_words", "collapse", 15.0, "under 15.4"),
    ("evaluation.collapse.candidate.end_of_turn_rate", "collapse", 0.89, "end_of_turn_rate"),
    ("evaluation.collapse.candidate.entropy", "collapse", 0.4, "entropy"),
    ("evaluation.collapse.candidate.entropy", "collapse", 1.4, "entropy"),
    ("evaluation.text.candidate", "text", [2.02 + i / 50 for i in range(40)], r"\+0.0200"),
    ("evaluation.rehearsal", "unrelated", [{"prompt": "p", "same": False, "kl": 0.03} for i in range(32)], "0.0300 nat"),
    (
        "evaluation.general",
        "general",
        [{"item": f"g{i}", "base": True, "candidate": i > 4} for i in range(50)],
        "5 lost and 0 gained of 50",
    ),
    (
        "evaluation.neighbours",
        "neighbours",
        [{"card_id": "c", "question": f"q{i}", "certain": True, "same": i > 8, "leaked": False} for i in range(128)],
        "93.0%",
    ),
    (
        "evaluation.neighbours",
        "neighbours",
        [{"card_id": "c", "question": f"q{i}", "certain": True, "same": True, "leaked": i < 3} for i in range(128)],
        "2.3% of 128 hold",
    ),
    ("evaluation.identity.1.candidate", "identity", False, "1 of 4 answers on who it is lost: identity1"),
    ("evaluation.identity.5.candidate", "identity", False, "1 of 4 refusals lost: refusal1"),
    ("evaluation.identity.9.candidate", "identity", False, "1 of 4 planted canaries came out: canary1"),
    (
        "evaluation.new",
        "new_facts",
        [{"card_id": str(i), "base": [False] * 4, "candidate": [False] * 4} for i in range(9)],
        "nothing was learned",
    ),
]


@pytest.mark.parametrize(("path", "check", "value", "words"), DAMAGE, ids=[f"{d[0]}={str(d[2])[:12]}" for d in DAMAGE])
def test_each_damage_is_refused_by_its_own_check(
    result: Result, expected: Expected, path: str, check: str, value: object, words: str
) -> None:
    put(result, path, value)
    refused = failed(judge(result, LIMITS, expected))
    assert list(refused) == [check]
    assert re.search(words, refused[check].detail), refused[check].detail


def test_a_night_that_trained_nothing_reports_only_that(result: Result, expected: Expected) -> None:
    report = judge({"refusal": "no usable card", "evaluation": {}}, LIMITS, expected)
    assert report.reasons == ("trained: nothing was trained: no usable card",)


def new_cards(*scores: int, base: int = 0) -> list[dict[str, object]]:
    return [
        {"card_id": f"n{i}", "base": [k < base for k in range(4)], "candidate": [k < score for k in range(4)]}
        for i, score in enumerate(scores)
    ]


@pytest.mark.parametrize(
    ("scores", "accepted", "graduated"),
    [((4, 3, 2, 2), True, 2), ((3, 2, 2, 2), False, 1), ((2, 2), False, 0), ((3,), True, 1), ((4, 4, 4), True, 3)],
)
def test_half_of_the_new_facts_must_be_recalled_on_three_of_four_wordings(
    result: Result, expected: Expected, scores: tuple[int, ...], accepted: bool, graduated: int
) -> None:
    result["evaluation"]["new"] = new_cards(*scores)
    check = next(c for c in judge(result, LIMITS, expected).checks if c.name == "new_facts")
    assert check.ok is accepted
    assert (check.numbers["graduated"], check.numbers["new_cards"]) == (graduated, len(scores))
    assert ("nothing was learned" in check.detail) == (graduated == 0)


def test_what_the_base_knew_is_not_counted_as_learned(result: Result, expected: Expected) -> None:
    result["evaluation"]["new"] = new_cards(4, 4, 4, base=4) + [{"card_id": "x", "base": [False] * 4, "candidate": [False] * 4}]
    assert "nothing was learned: 0 of 1" in failed(judge(result, LIMITS, expected))["new_facts"].detail


def test_a_night_of_examples_only_is_judged_by_the_other_checks(result: Result, expected: Expected) -> None:
    result["evaluation"]["new"] = []
    result["training"] |= {"cards": 0, "examples": 5}
    assert judge(result, LIMITS, expected).accepted
    result["evaluation"]["text"]["candidate"] = [3.5] * 40
    assert list(failed(judge(result, LIMITS, expected))) == ["text"]


def test_a_deep_night_over_earlier_facts_alone_is_judged_by_the_other_checks(result: Result, expected: Expected) -> None:
    result["evaluation"]["new"] = []
    result["training"] |= {"cards": 60, "examples": 0}
    assert judge(result, LIMITS, expected).accepted


def test_a_night_whose_facts_were_all_known_and_without_examples_learned_nothing(result: Result, expected: Expected) -> None:
    result["evaluation"] |= {"new": new_cards(4, 4, base=4), "old": []}
    result["training"] |= {"cards": 2, "examples": 0}
    report = judge(result, LIMITS, replace(expected, earlier_cards=0))
    assert "nothing was learned" in failed(report)["new_facts"].detail


def old_facts(total: int, lost: int, gained: int, reference: str) -> list[dict[str, object]]:
    """``lost`` regressions and ``gained`` gains against one reference; the other agrees with the candidate."""
    rows = []
    for i in range(total):
        now = not i < lost
        before = not now if i < lost + gained else now
        rows.append({"card_id": f"o{i}", "best": now, "base": now, "candidate": now, reference: before})
    return rows


@pytest.mark.parametrize("reference", ["best", "base"])
@pytest.mark.parametrize(
    ("total", "lost", "gained", "accepted"),
    [(200, 4, 0, True), (200, 5, 0, False), (200, 5, 5, True), (200, 6, 6, False), (20, 1, 0, True), (20, 2, 0, False), (40, 0, 9, True)],
)
def test_earlier_facts_may_hardly_be_lost(
    result: Result, expected: Expected, reference: str, total: int, lost: int, gained: int, accepted: bool
) -> None:
    result["evaluation"]["old"] = old_facts(total, lost, gained, reference)
    check = next(c for c in judge(result, LIMITS, expected).checks if c.name == "old_facts")
    assert check.ok is accepted, check.detail
    assert (check.numbers[f"lost_{reference}"], check.numbers[f"gained_{reference}"]) == (lost, gained)
    assert f"{lost} lost" in check.detail


def test_no_earlier_facts_are_fine_only_when_none_were_ever_trained(result: Result, expected: Expected) -> None:
    result["evaluation"]["old"] = []
    assert judge(result, LIMITS, replace(expected, earlier_cards=0)).accepted
    assert "60 facts were trained" in failed(judge(result, LIMITS, expected))["old_facts"].detail


def test_few_noisy_passages_are_not_enough_evidence(result: Result, expected: Expected) -> None:
    noisy = [2.0 + (0.08 if i % 2 else -0.08) for i in range(10)]
    result["evaluation"]["text"] = {"base": [2.0] * 10, "candidate": noisy, "tokens": [50] * 10}
    check = failed(judge(result, LIMITS, expected))["text"]
    assert abs(check.numbers["rise"]) < 1e-9
    assert check.numbers["upper_bound"] > 0.01


def test_a_sure_base_has_slack_in_its_entropy(result: Result, expected: Expected) -> None:
    result["evaluation"]["collapse"]["base"]["entropy"] = 0.01
    result["evaluation"]["collapse"]["candidate"]["entropy"] = 0.1
    assert judge(result, LIMITS, expected).accepted
    result["evaluation"]["collapse"]["candidate"]["entropy"] = 0.12
    assert "entropy" in failed(judge(result, LIMITS, expected))["collapse"].detail


def general(total: int, lost: int, gained: int) -> list[dict[str, object]]:
    """Items of which the base knows all but the gained ones."""
    return [{"item": f"g{i}", "base": i >= gained, "candidate": i < gained or i >= gained + lost} for i in range(total)]


@pytest.mark.parametrize(
    ("total", "lost", "gained", "accepted"),
    [
        (200, 3, 0, True),
        (200, 4, 0, False),
        (200, 13, 10, True),
        (200, 14, 10, False),
        (30, 1, 0, True),
        (30, 2, 0, False),
        (30, 0, 9, True),
    ],
)
def test_three_of_two_hundred_general_items_may_be_lost_and_one_of_few(
    result: Result, expected: Expected, total: int, lost: int, gained: int, accepted: bool
) -> None:
    result["evaluation"]["general"] = general(total, lost, gained)
    check = next(c for c in judge(result, LIMITS, expected).checks if c.name == "general")
    assert check.ok is accepted, check.detail
    assert (check.numbers["lost"], check.numbers["gained"]) == (lost, gained)


def test_general_losses_that_are_no_chance_are_refused_however_many_are_allowed(result: Result, expected: Expected) -> None:
    result["evaluation"]["general"] = general(200, 5, 0)
    loose = replace(LIMITS, max_general_lost=20.0)
    assert list(failed(judge(result, loose, expected))) == ["general"]
    assert judge(result, replace(loose, general_alpha=0.01), expected).accepted


def test_no_general_item_may_be_lost_when_none_is_allowed(result: Result, expected: Expected) -> None:
    assert list(failed(judge(result, replace(LIMITS, max_general_lost=0.0), expected))) == ["general"]


def test_a_base_that_knows_hardly_a_general_item_is_told_to_be_no_evidence(result: Result, expected: Expected) -> None:
    result["evaluation"]["general"] = [{"item": f"g{i}", "base": i < 2, "candidate": i < 2} for i in range(50)]
    check = next(c for c in judge(result, LIMITS, expected).checks if c.name == "general")
    assert check.ok and "hardly any evidence, since the base knows 2 of 50" in check.detail


def test_neighbours_may_be_missing_only_when_no_card_was_trained(result: Result, expected: Expected) -> None:
    result["evaluation"]["neighbours"] = []
    assert "0 questions for 10 cards" in failed(judge(result, LIMITS, expected))["neighbours"].detail
    result["evaluation"]["new"] = []
    assert "0 questions for 10 cards" in failed(judge(result, LIMITS, expected))["neighbours"].detail
    result["training"]["cards"] = 0
    assert judge(result, LIMITS, expected).accepted


def test_what_the_base_never_was_or_declined_cannot_be_lost_and_the_report_says_so(result: Result, expected: Expected) -> None:
    for row in result["evaluation"]["identity"]:
        row["base"] = row["candidate"] = False
    check = next(c for c in judge(result, LIMITS, expected).checks if c.name == "identity")
    assert check.ok and "no refusals to lose: the base has none on 4 items" in check.detail


def test_every_planted_canary_must_have_been_looked_for(result: Result, expected: Expected) -> None:
    assert judge(result, LIMITS, replace(expected, planted_canaries=4)).accepted
    assert "4 of 5 planted" in failed(judge(result, LIMITS, replace(expected, planted_canaries=5)))["identity"].detail


def neighbours(*kinds: tuple[int, bool, bool, bool]) -> list[dict[str, object]]:
    """Rows (how many, certain, same, leaked)."""
    rows = [row for count, *row in kinds for _ in range(count)]
    return [{"card_id": "c", "question": f"q{i}", "certain": c, "same": s, "leaked": x} for i, (c, s, x) in enumerate(rows)]


@pytest.mark.parametrize(
    ("rows", "compared", "passes"),
    [
        (neighbours((100, True, True, False), (40, False, False, False)), 100, True),  # the base was not certain of what changed
        (neighbours((94, True, True, False), (6, True, False, False), (500, False, True, False)), 100, False),
        (neighbours((100, True, True, False), (3, False, False, True)), 100, False),  # a value of tonight is one wherever it is said
        (neighbours((49, True, True, False), (20, False, False, False)), 69, False),  # too few it was certain of: all are compared
    ],
)
def test_answers_about_others_are_compared_where_the_base_was_certain(
    result: Result, expected: Expected, rows: list[dict[str, object]], compared: int, passes: bool
) -> None:
    result["evaluation"]["neighbours"] = rows
    report = judge(result, LIMITS, expected)
    [check] = [check for check in report.checks if check.name == "neighbours"]
    assert (check.numbers["compared"], check.ok) == (compared, passes)


def test_a_leaked_canary_is_refused_whatever_identity_may_lose(result: Result, expected: Expected) -> None:
    result["evaluation"]["identity"][9]["candidate"] = False
    assert list(failed(judge(result, replace(LIMITS, max_identity_lost=100), expected))) == ["identity"]


LOOSE = {
    "max_general_lost": (30.0, "evaluation.general", general(50, 4, 0)),
    "min_neighbours_same": (
        0.9,
        "evaluation.neighbours",
        [{"card_id": "c", "question": f"q{i}", "certain": True, "same": i > 8, "leaked": False} for i in range(128)],
    ),
    "max_leak": (
        0.04,
        "evaluation.neighbours",
        [{"card_id": "c", "question": f"q{i}", "certain": True, "same": True, "leaked": i < 4} for i in range(128)],
    ),
    "max_identity_lost": (1, "evaluation.identity.0.candidate", False),
    "min_new_recall": (0.1, "evaluation.new", new_cards(4, 1, 1, 1, 1)),
    "max_text_loss": (0.5, "evaluation.text.candidate", [2.02 + i / 50 for i in range(40)]),
    "max_old_regressions_share": (0.1, "evaluation.old", old_facts(40, 4, 4, "best")),
    "max_kl": (0.05, "evaluation.rehearsal", [{"prompt": "p", "same": True, "kl": 0.03} for i in range(30)]),
    "max_kl_p95": (0.3, "evaluation.rehearsal", [{"prompt": "p", "same": True, "kl": 0.2 if i < 2 else 0.0} for i in range(30)]),
    "max_distinct3_drop": (0.2, "evaluation.collapse.candidate.distinct3", 0.8),
    "max_repeated_share_rise": (0.2, "evaluation.collapse.candidate.repeated_share", 0.1),
    "max_questions_rise": (2.0, "evaluation.collapse.candidate.questions_per_reply", 2.0),
    "min_length_ratio": (0.1, "evaluation.collapse.candidate.mean_words", 5.0),
    "max_length_ratio": (3.0, "evaluation.collapse.candidate.mean_words", 50.0),
    "min_end_of_turn_rate_ratio": (0.5, "evaluation.collapse.candidate.end_of_turn_rate", 0.6),
    "min_entropy_ratio": (0.1, "evaluation.collapse.candidate.entropy", 0.3),
    "max_entropy_ratio": (3.0, "evaluation.collapse.candidate.entropy", 2.0),
    "entropy_slack": (2.0, "evaluation.collapse.candidate.entropy", 2.0),
    "max_norm_ratio": (1.5, "adapter.norm_ratio", 1.2),
}


@pytest.mark.parametrize("key", LOOSE)
def test_every_limit_is_obeyed(result: Result, expected: Expected, key: str) -> None:
    value, path, evidence = LOOSE[key]
    put(result, path, evidence)
    assert not judge(result, LIMITS, expected).accepted
    assert judge(result, replace(LIMITS, **{key: value}), expected).accepted


def test_the_significance_level_and_the_floor_of_distinct3_are_obeyed(result: Result, expected: Expected) -> None:
    loose = replace(LIMITS, max_old_regressions_share=1.0)
    result["evaluation"]["old"] = old_facts(40, 6, 0, "best")
    assert list(failed(judge(result, loose, expected))) == ["old_facts"]
    assert judge(result, replace(loose, old_alpha=0.001), expected).accepted
    result["evaluation"]["old"] = old_facts(40, 0, 0, "best")
    for who in ("base", "candidate"):
        result["evaluation"]["collapse"][who]["distinct3"] = 0.66
    assert list(failed(judge(result, LIMITS, expected))) == ["collapse"]
    assert judge(result, replace(LIMITS, min_distinct3=0.6), expected).accepted


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


def test_the_files_on_disk_must_be_the_ones_that_were_evaluated(result: Result, expected: Expected) -> None:
    other = replace(expected, files={**expected.files, "adapter_model.safetensors": "9" * 64})
    assert "999999" in failed(judge(result, LIMITS, other))["integrity"].detail
    gone = replace(expected, files={})
    assert "is missing" in failed(judge(result, LIMITS, gone))["integrity"].detail


def test_what_is_expected_comes_from_the_job_and_the_disk(make_candidate: Callable[..., Path], tmp_path: Path) -> None:
    job = {"id": "0123456789abcdef", "model": {"path": "m", "sha256": "b" * 64}, "training": {"planted_canaries": ["a", "b"]}}
    found = expect(job, make_candidate(), 3)
    assert (found.base_sha256, found.job_id, found.earlier_cards, found.planted_canaries) == ("b" * 64, "0123456789abcdef", 3, 2)
    assert set(found.files) == {"adapter_model.safetensors", "adapter_config.json"}
    assert expect(job, tmp_path / "absent", 0).files == {}
    with pytest.raises(BadJobError, match=r"model\.sha256"):
        expect({"id": "x"}, tmp_path, 0)
    (tmp_path / "candidate" / "adapter_model.bin").write_bytes(b"")
    with pytest.raises(StoreError, match="pickle"):
        expect(job, tmp_path / "candidate", 0)
