"""The budgets of harm while an adapter is scaled, and that they are the gate's own."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from sleepd.adapter.expected import Expected
from sleepd.adapter.gate import CHECKS
from sleepd.adapter.limits import GateLimits
from sleepd.night.budget import BISECTIONS, Trial, chosen, exceeded, largest_within

GATE = dataclasses.asdict(GateLimits())
CHECK_OF = {
    "max_kl": "unrelated",
    "max_kl_p95": "unrelated",
    "max_text_loss": "text",
    "max_leak": "neighbours",
    "min_distinct3": "collapse",
}


def healthy() -> dict[str, Any]:
    collapse = dict.fromkeys(("repeated_share", "questions_per_reply"), 0.0) | {"distinct3": 0.9, "mean_words": 9.0}
    collapse |= {"end_of_turn_rate": 1.0, "entropy": 0.5}
    return {
        "new": [{"card_id": "c", "base": [False] * 4, "candidate": [True] * 4}],
        "rehearsal": [{"prompt": f"p{i}", "same": True, "kl": 0.001} for i in range(40)],
        "text": {"base": [2.0] * 20, "candidate": [2.001] * 20, "tokens": [30] * 20},
        "neighbours": [{"card_id": "c", "question": f"q{i}", "certain": True, "same": True, "leaked": False} for i in range(200)],
        "collapse": {"base": dict(collapse), "candidate": dict(collapse)},
    }


def _kl(found: dict[str, Any]) -> None:
    for row in found["rehearsal"]:
        row["kl"] = 0.03


def _kl_p95(found: dict[str, Any]) -> None:
    for row in found["rehearsal"][:3]:
        row["kl"] = 0.16


def _text(found: dict[str, Any]) -> None:
    found["text"]["candidate"] = [2.02] * 20


def _leak(found: dict[str, Any]) -> None:
    for row in found["neighbours"][:5]:
        row["leaked"] = True


def _distinct3(found: dict[str, Any]) -> None:
    found["collapse"]["candidate"]["distinct3"] = 0.84


HARM: dict[str, Callable[[dict[str, Any]], None]] = {
    "max_kl": _kl,
    "max_kl_p95": _kl_p95,
    "max_text_loss": _text,
    "max_leak": _leak,
    "min_distinct3": _distinct3,
}


@pytest.mark.parametrize("budget", HARM)
def test_what_exceeds_a_budget_is_what_the_gate_would_refuse(budget: str) -> None:
    found = healthy()
    checks = dict(CHECKS)
    result = {"evaluation": found, "training": {"cards": 1}}
    expected = Expected("b", "j", {})
    assert exceeded(found, GATE) == () and checks[CHECK_OF[budget]](result, GateLimits(), expected).ok
    HARM[budget](found)
    assert exceeded(found, GATE) == (budget,)
    assert not checks[CHECK_OF[budget]](result, GateLimits(), expected).ok


def test_what_is_no_number_exceeds_every_budget() -> None:
    found = healthy()
    nan = float("nan")
    found["rehearsal"][0]["kl"] = found["text"]["candidate"][0] = found["collapse"]["candidate"]["distinct3"] = nan
    assert {"max_kl", "max_text_loss", "min_distinct3"} <= set(exceeded(found, GATE))


def test_what_was_not_measured_or_has_no_limit_exceeds_nothing() -> None:
    found = healthy()
    for harm in HARM.values():
        harm(found)
    assert set(exceeded(found, GATE)) == set(HARM)
    assert exceeded(found, {}) == () and exceeded({}, GATE) == ()


def world(harmless_to: float, recalled_from: float) -> tuple[list[float], Callable[[float], Trial]]:
    asked: list[float] = []

    def attempt(scale: float) -> Trial:
        asked.append(scale)
        return Trial(scale, ("max_kl",) if scale > harmless_to else (), 1.0 if scale >= recalled_from else 0.0)

    return asked, attempt


def test_the_largest_harmless_scale_is_found_in_five_tries() -> None:
    asked, attempt = world(harmless_to=0.6, recalled_from=0.1)
    tried = largest_within(Trial(0.85, ("max_kl",), 1.0), attempt, 0.5)
    found = chosen(tried, 0.5)
    assert len(asked) == BISECTIONS and found is not None
    assert 0.6 - 0.85 / 2**BISECTIONS <= found.scale <= 0.6


def test_what_is_still_harmful_where_the_recall_is_gone_is_given_up_at_once() -> None:
    asked, attempt = world(harmless_to=0.2, recalled_from=0.7)
    tried = largest_within(Trial(1.0, ("max_leak",), 1.0), attempt, 0.5)
    assert asked == [0.5] and chosen(tried, 0.5) is None


def test_an_adapter_that_became_harmless_by_unlearning_is_not_chosen() -> None:
    asked, attempt = world(harmless_to=0.55, recalled_from=0.6)
    tried = largest_within(Trial(1.0, ("max_leak",), 1.0), attempt, 0.5)
    assert asked[:2] == [0.5, 0.75] and chosen(tried, 0.5) is None


def test_a_night_without_cards_is_made_as_small_as_it_must_be() -> None:
    tried = largest_within(Trial(1.0, ("max_kl",), None), lambda s: Trial(s, ("max_kl",) if s > 0.05 else (), None), 0.5)
    found = chosen(tried, 0.5)
    assert found is not None and found.scale == 0.03125
