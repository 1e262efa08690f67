"""The gate: a clean night passes, every kind of damage is refused by its own check, and every limit is obeyed."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from sleepd.adapter.expected import Expected, expect
from sleepd.adapter.gate import CHECKS, judge
from sleepd.errors import BadJobError, StoreError
from tests.adapter.evidence import LIMITS, Result, failed, general, new_cards, old_facts, put


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
