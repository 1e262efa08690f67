"""Every way through a card's life."""

from __future__ import annotations

from itertools import product
from typing import get_args

import pytest

from sleepd import cardlife
from sleepd.cardlife import LIVING, Happening, Life, after, comes_back
from sleepd.records import CardStatus

STATUSES: tuple[CardStatus, ...] = get_args(CardStatus)
GONE = ("superseded", "forgotten", "quarantined")


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("misses", [0, 1, 2, 3, 7])
def test_taught_and_recalled_is_graduated_whatever_was_before(status: CardStatus, misses: int) -> None:
    assert after(Life(status, misses), "taught", recalled=True) == Life("graduated", 0)


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        (Life("new", 0), Life("learning", 1)),
        (Life("learning", 1), Life("learning", 2)),
        (Life("learning", 2), Life("stubborn", 3)),
        (Life("stubborn", 3), Life("stubborn", 4)),
        (Life("graduated", 0), Life("fading", 1)),  # a deep cycle taught it again
        (Life("fading", 1), Life("fading", 2)),
        (Life("fading", 2), Life("stubborn", 3)),
        (Life("superseded", 0), Life("learning", 1)),  # the old value is true again
        (Life("forgotten", 2), Life("learning", 1)),  # told anew, it begins anew
        (Life("quarantined", 2), Life("learning", 1)),
    ],
)
def test_taught_and_not_recalled_is_counted_until_it_is_stubborn(before: Life, expected: Life) -> None:
    assert after(before, "taught", recalled=False) == expected


@pytest.mark.parametrize(
    ("before", "recalled", "expected"),
    [
        (Life("learning", 2), True, Life("graduated", 0)),
        (Life("graduated"), True, Life("graduated")),
        (Life("fading", 1), True, Life("graduated", 0)),
        (Life("stubborn", 3), True, Life("graduated", 0)),
        (Life("learning", 2), False, Life("learning", 2)),  # it was not taught, so nothing is counted
        (Life("graduated"), False, Life("fading")),
        (Life("fading"), False, Life("fading")),
        (Life("stubborn", 3), False, Life("stubborn", 3)),
    ],
)
def test_a_probe_alone_never_counts_a_miss(before: Life, recalled: bool, expected: Life) -> None:
    assert after(before, "probed", recalled=recalled) == expected


@pytest.mark.parametrize(("status", "recalled"), list(product(("new", *GONE), (True, False))))
def test_an_answer_says_nothing_of_a_card_that_is_not_in_the_weights(status: CardStatus, recalled: bool) -> None:
    assert after(Life(status, 1), "probed", recalled=recalled) == Life(status, 1)


@pytest.mark.parametrize("status", STATUSES)
def test_what_people_do_to_a_card(status: CardStatus) -> None:
    life = Life(status, 2)
    assert after(life, "corrected") == Life("superseded")
    assert after(life, "forgotten") == Life("forgotten")
    assert after(life, "told") == (life if status in LIVING else Life("new"))
    assert after(life, "withdrawn") == (Life("new", 2) if status in LIVING else life)


def test_three_nights_without_success_make_it_stubborn_and_one_success_starts_the_count_again() -> None:
    life = Life()
    for expected in ("learning", "learning", "stubborn"):
        life = after(life, "taught")
        assert life.status == expected
    assert after(after(life, "taught", recalled=True), "taught").misses == 1


def test_only_what_is_being_learned_comes_back_among_the_taught() -> None:
    back = [status for status in STATUSES if comes_back(Life(status, 1))]
    assert back == ["learning"]


def test_every_happening_has_an_outcome_for_every_status() -> None:
    for status, happening in product(STATUSES, get_args(Happening)):
        assert after(Life(status, 1), happening).status in STATUSES
    assert set(LIVING) | {"new", *GONE} == set(STATUSES) and cardlife.STUBBORN_AFTER == 3
