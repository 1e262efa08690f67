"""How the last nights change the schedule's numbers, and what that does to a decision."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sleepd.daemon.decide import Snapshot, Thresholds, at_pace, decide, seconds_until_change
from sleepd.daemon.pace import FASTEST, SLOWEST, Pace, pace
from sleepd.records import Check, Totals

LIMITS = Thresholds(5, 2, 6.0, 10.0, 7, 0.02, 2.0)
READY = Snapshot("NIGHT", Totals(20, 9, 6, 5, 3), 7.5, 45.0, (Check("power", True, "on mains power"),))
VERDICTS = st.lists(st.sampled_from(["committed", "rejected", "rolled_back", "abandoned", "stopped"]), max_size=20)


@pytest.mark.parametrize(
    ("verdicts", "kept", "factor"),
    [
        ([], None, 1.0),
        (["committed"] * 2, 1.0, 1.0),
        (["committed"] * 3, 1.0, 0.75),
        (["committed"] * 3, None, 0.75),
        (["committed"] * 6, 0.98, 0.5625),
        (["committed"] * 30, 1.0, 0.5),
        (["committed"] * 9, 0.9, 1.0),  # they pass, but what was learned fades
        (["committed", "committed", "rejected", "committed"], 1.0, 1.0),
        (["rejected"], 1.0, 2.0),
        (["rejected", "rolled_back"], 1.0, 4.0),
        (["rejected"] * 9, 1.0, 4.0),
        (["abandoned", "stopped", "rejected", "committed"], 1.0, 2.0),  # a night cut short says nothing
        (["committed", "rejected", "rejected"], 1.0, 1.0),
    ],
)
def test_the_factor_for_a_history(verdicts: list[str], kept: float | None, factor: float) -> None:
    assert pace(verdicts, kept).factor == pytest.approx(factor)


@settings(max_examples=60, deadline=None)
@given(VERDICTS, st.none() | st.floats(0, 1))
def test_the_factor_stays_in_bounds_and_is_explained_when_it_is_not_one(verdicts: list[str], kept: float | None) -> None:
    found = pace(verdicts, kept)
    assert FASTEST <= found.factor <= SLOWEST
    assert bool(found.reason) == (found.factor != 1.0)


@settings(max_examples=60, deadline=None)
@given(VERDICTS, st.none() | st.floats(0, 1))
def test_one_more_rejection_never_makes_nights_more_frequent(verdicts: list[str], kept: float | None) -> None:
    assert pace(["rejected", *verdicts], kept).factor >= pace(verdicts, kept).factor


def test_without_a_history_the_presets_numbers_are_exact() -> None:
    assert at_pace(LIMITS, pace([], None)) is LIMITS


def test_a_rejected_night_asks_for_more_and_says_why() -> None:
    slower = replace(READY, pace=pace(["rejected"], None))
    decision = decide(slower, LIMITS)
    assert decision.reason == "Insufficient new experiences (3 < 4) (2 x 2: the last night was rejected)"
    tired = decide(replace(slower, totals=Totals(20, 9, 9, 0, 9)), LIMITS)
    assert tired.reason == "Too soon since the last cycle (7.50 h < 12.0 h) (6.0 h x 2: the last night was rejected)"
    assert seconds_until_change(slower, LIMITS) == pytest.approx(4.5 * 3600)


def test_nights_that_pass_ask_for_less() -> None:
    quicker = replace(READY, hours_since_last=3.5, totals=Totals(20, 9, 9, 0, 1), pace=Pace(0.5, "9 nights in a row passed"))
    decision = decide(quicker, LIMITS)
    assert decision.should_run
    assert "3.5 h since the last cycle >= 3.0 h (6.0 h x 0.5: 9 nights in a row passed)" in [c.detail for c in decision.checks]


def test_a_number_that_a_person_set_is_not_made_smaller_but_is_made_larger() -> None:
    own = replace(LIMITS, least_new=2, least_hours=6.0)
    assert at_pace(own, Pace(0.5, "x")).min_hours_between_sleep == 6.0 and at_pace(own, Pace(0.5, "x")).min_new_experiences == 2
    assert at_pace(own, Pace(4.0, "x")).min_hours_between_sleep == 24.0 and at_pace(own, Pace(4.0, "x")).min_new_experiences == 8


def test_no_new_experience_at_all_is_never_enough_unless_a_person_said_so() -> None:
    assert at_pace(LIMITS, Pace(0.5, "x")).min_new_experiences == 1
    assert at_pace(replace(LIMITS, min_new_experiences=0), Pace(4.0, "x")).min_new_experiences == 0
