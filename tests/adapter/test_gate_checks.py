"""What each check of the gate lets pass and what it refuses."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sleepd.adapter.expected import Expected
from sleepd.adapter.gate import judge
from tests.adapter.evidence import LIMITS, Result, failed, general, neighbours, new_cards, old_facts


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
