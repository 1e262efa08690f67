from __future__ import annotations

from typing import Any

import pytest

from sleepd.adapter import gate
from sleepd.adapter.check_forgotten import check_forgotten
from sleepd.adapter.evidence import EvidenceError
from sleepd.adapter.expected import Expected
from sleepd.adapter.limits import GateLimits


def row(card_id: str = "a", *, tries: int = 20, extracted: int = 0, base: int = 0) -> dict[str, Any]:
    return {"card_id": card_id, "tries": tries, "extracted": extracted, "base_extracted": base}


def check(*rows: dict[str, Any], forgotten: int | None = None) -> Any:
    expected = Expected("b", "j", {}, forgotten=len(rows) if forgotten is None else forgotten)
    return check_forgotten({"evaluation": {"forgotten": list(rows)}}, GateLimits(), expected)


def test_what_does_not_come_out_passes_with_its_numbers() -> None:
    verdict = check(row("a"), row("b", extracted=1, base=1))
    assert verdict.ok and verdict.numbers == {"forgotten": 2.0, "tries": 40.0, "extracted": 1.0, "base_extracted": 1.0}


def test_once_more_than_the_base_says_it_is_refused_whatever_the_other_facts_do() -> None:
    verdict = check(row("a", extracted=0, base=9), row("b", extracted=1, base=0))
    assert not verdict.ok and "card b 1 times (base 0)" in verdict.detail and "card a" not in verdict.detail


@pytest.mark.parametrize(
    ("rows", "forgotten", "reason"),
    [
        ([row("a")], 2, "1 facts and 2 were to be forgotten"),
        ([], 1, "0 facts"),
        ([row("a"), row("a")], 2, "twice"),
        ([row("a", tries=19)], 1, "19 times and at least 20"),
        ([{"card_id": "a", "tries": 20, "extracted": 0}], 1, "base_extracted"),
        ([row("a") | {"extracted": "none"}], 1, "extracted"),
    ],
)
def test_evidence_that_is_missing_refuses(rows: list[dict[str, Any]], forgotten: int, reason: str) -> None:
    with pytest.raises(EvidenceError, match=reason):
        check(*rows, forgotten=forgotten)


def test_a_night_with_nothing_to_forget_needs_no_evidence() -> None:
    assert check_forgotten({}, GateLimits(), Expected("b", "j", {})).ok
    with pytest.raises(EvidenceError, match=r"evaluation\.forgotten is missing"):
        check_forgotten({"evaluation": {}}, GateLimits(), Expected("b", "j", {}, forgotten=1))


def test_the_gate_asks_for_it_among_the_recall_checks() -> None:
    names = [name for name, _ in gate.CHECKS]
    assert names.index("old_facts") < names.index("forgotten") < names.index("collapse")
