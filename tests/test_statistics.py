"""The gate's arithmetic against known values and against scipy."""

from __future__ import annotations

import itertools
import math
import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sleepd.statistics import increase, mcnemar, upper_bound

COUNTS = st.integers(min_value=0, max_value=120)


@pytest.mark.parametrize(
    ("lost", "gained", "p"), [(0, 0, 1.0), (0, 9, 1.0), (1, 0, 0.5), (4, 0, 0.0625), (5, 0, 0.03125), (3, 3, 0.65625), (8, 1, 0.01953125)]
)
def test_mcnemar_known_values(lost: int, gained: int, p: float) -> None:
    assert mcnemar(lost, gained) == pytest.approx(p, abs=1e-12)


def test_five_to_nothing_is_significant_and_four_is_not() -> None:
    assert mcnemar(5, 0) < 0.05 < mcnemar(4, 0)


@given(COUNTS, COUNTS)
@settings(deadline=None)
def test_mcnemar_is_a_probability_that_falls_with_losses(lost: int, gained: int) -> None:
    p = mcnemar(lost, gained)
    assert 0 < p <= 1
    assert mcnemar(lost + 1, gained) < p or p == 1
    assert mcnemar(lost, gained + 1) >= p
    both = mcnemar(lost, gained) + mcnemar(gained, lost)
    assert both == pytest.approx(1 + math.comb(lost + gained, lost) / 2 ** (lost + gained))


def test_mcnemar_is_scipys_binomial_test() -> None:
    stats = pytest.importorskip("scipy.stats")
    for lost, gained in itertools.product(range(0, 60, 7), range(1, 60, 6)):
        assert mcnemar(lost, gained) == pytest.approx(stats.binomtest(lost, lost + gained, 0.5, alternative="greater").pvalue)


def test_the_increase_weighs_by_tokens() -> None:
    assert increase([1.0, 1.0], [2.0, 1.0], [30.0, 10.0]) == pytest.approx(0.75)


@given(st.lists(st.tuples(st.floats(0, 10), st.floats(0, 10), st.integers(1, 500)), min_size=2, max_size=20), st.integers(0, 5))
@settings(deadline=None)
def test_the_bound_lies_within_the_data_and_repeats_with_its_seed(passages: list[tuple[float, float, int]], seed: int) -> None:
    before, after, tokens = ([p[i] for p in passages] for i in range(3))
    bound = upper_bound(before, after, tokens, seed, resamples=60)
    differences = [b - a for a, b in zip(before, after, strict=True)]
    assert min(differences) - 1e-9 <= bound <= max(differences) + 1e-9
    assert bound == upper_bound(before, after, tokens, seed, resamples=60)


def test_a_constant_rise_has_no_uncertainty() -> None:
    assert upper_bound([1.0] * 10, [1.25] * 10, [7] * 10, 1) == pytest.approx(0.25)


def test_the_bound_covers_the_truth_about_as_often_as_it_says() -> None:
    generator = random.Random(3)
    covered = 0
    for trial in range(100):
        after = [1 + generator.gauss(0.02, 0.05) for _ in range(40)]
        covered += upper_bound([1.0] * 40, after, [50] * 40, trial, resamples=200) >= 0.02
    assert 86 <= covered <= 99


def test_two_hundred_passages_are_judged_quickly() -> None:
    generator = random.Random(1)
    after = [2 + generator.gauss(0, 0.05) for _ in range(200)]
    start = time.process_time()
    upper_bound([2.0] * 200, after, [100] * 200, 1)
    assert time.process_time() - start < 2
