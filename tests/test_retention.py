"""Retention: FSRS-6 as its authors' package computes it, and which cards a night asks for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import fsrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sleepd import retention
from sleepd.retention import Asked, due, remember, retrievability

START = datetime(2026, 1, 1, 3, tzinfo=UTC)
GAPS = st.lists(st.tuples(st.integers(0, 400), st.booleans()), min_size=1, max_size=12)


def probes(*steps: tuple[int, bool], first: float = 0.0) -> list[Asked]:
    """Probes after so many days each."""
    day, made = first, []
    for gap, recalled in steps:
        day += gap
        made.append(Asked(day, recalled))
    return made


@settings(max_examples=60, deadline=None)
@given(GAPS, st.integers(0, 1000))
def test_memory_is_what_the_published_package_computes(steps: list[tuple[int, bool]], later: int) -> None:
    scheduler = fsrs.Scheduler(enable_fuzzing=False)
    card, at = fsrs.Card(), START
    for gap, recalled in steps:
        at += timedelta(days=gap)
        card, _ = scheduler.review_card(card, fsrs.Rating.Good if recalled else fsrs.Rating.Again, at)
    mine = remember(probes(*steps))
    assert mine is not None
    assert (mine.stability, mine.difficulty) == (pytest.approx(card.stability), pytest.approx(card.difficulty))
    wanted = scheduler.get_card_retrievability(card, at + timedelta(days=later))
    assert retrievability(mine, mine.day + later) == pytest.approx(wanted)


def test_the_weights_are_the_published_ones() -> None:
    assert fsrs.Scheduler().parameters == retention.WEIGHTS


@settings(max_examples=60, deadline=None)
@given(GAPS, st.integers(0, 500), st.integers(1, 500))
def test_a_memory_only_fades(steps: list[tuple[int, bool]], days: int, more: int) -> None:
    memory = remember(probes(*steps))
    assert memory is not None
    now, later = (retrievability(memory, memory.day + d) for d in (days, days + more))
    assert 0 < later < now <= 1


def test_a_night_that_begins_a_few_minutes_early_is_still_a_day_later() -> None:
    assert remember([Asked(0.0, True), Asked(0.99, True)]) != remember([Asked(0.0, True), Asked(0.2, True)])
    early, on_time = remember([Asked(0.0, True), Asked(0.99, True)]), remember([Asked(0.0, True), Asked(1.0, True)])
    assert early is not None and on_time is not None and early.stability == on_time.stability


def stable(count: int, first: int = 0) -> list[tuple[str, list[Asked]]]:
    """Cards recalled for weeks, the last time today."""
    return [(f"c{n:05d}", probes((0, True), (3, True), (8, True), (20, True))) for n in range(first, first + count)]


TODAY = 31.0


def test_up_to_a_thousand_cards_all_are_asked_for() -> None:
    assert len(due(stable(1000), TODAY, 1)) == 1000
    assert due([], TODAY, 1) == frozenset()


def test_above_that_stable_cards_rest_but_for_a_random_tenth_another_each_night() -> None:
    cards = stable(5000)
    tonight, again, tomorrow = due(cards, TODAY, 7), due(cards, TODAY, 7), due(cards, TODAY, 8)
    assert len(tonight) == 500 and tonight == again and tonight != tomorrow
    lots = due(stable(1200), TODAY, 1), due(stable(1200), TODAY, 2), due(stable(1200), TODAY, 3)
    assert len(frozenset().union(*lots)) > 300  # nobody is left alone for ever


@pytest.mark.parametrize(
    "history",
    [
        pytest.param([], id="never asked"),
        pytest.param(probes((0, True), (3, True), (28, False)), id="failed at its last probe"),
        pytest.param(probes((0, True)), id="fading: one probe, a month ago"),
        pytest.param(
            [Asked(0, True, 0.1), Asked(3, True, 0.2), Asked(11, True, 0.3), Asked(31, True, 1.2)], id="its loss rose by over a nat"
        ),
    ],
)
def test_a_card_that_needs_asking_is_asked_whatever_the_lot_says(history: list[Asked]) -> None:
    needing = {f"needs{n}": history for n in range(30)}
    assert set(needing) <= due([*stable(1001), *needing.items()], TODAY, 1)


def test_a_loss_that_rose_less_than_a_nat_is_no_reason() -> None:
    steady = [Asked(0, True, 0.1), Asked(3, True, None), Asked(11, True, 0.3), Asked(31, True, 1.0)]
    assert len(due([(f"steady{n}", steady) for n in range(1001)], TODAY, 1)) == 101


def test_after_a_long_pause_the_least_retrievable_thousand_come_first() -> None:
    weak = [(f"weak{n}", probes((0, True))) for n in range(700)]
    failed = [(f"lost{n}", probes((0, True), (1, False))) for n in range(300)]
    strong = stable(3000)
    asked = due([*strong, *weak, *failed], TODAY + 2000, 3)
    assert {name for name, _ in [*failed, *weak]} <= asked
    assert len(asked) <= 1000 + 400
