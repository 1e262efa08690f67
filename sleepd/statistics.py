"""The statistics of the gate, in plain Python, for who judges a candidate and for who trains within the same budgets.

Pure and deterministic: a bootstrap's seed is fixed or an argument. Sources: McNemar, Psychometrika 12 (1947), with the
exact binomial tail; Efron, Annals of Statistics 7 (1979), percentile method.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

RESAMPLES = 2000
_SEED = 20  # fixed, so that a verdict can be computed again and is the same


def mcnemar(lost: int, gained: int) -> float:
    """The chance of at least ``lost`` losses among ``lost + gained`` changes when both directions are equally likely.

    One-sided and exact: mcnemar(5, 0) is 0.031, mcnemar(4, 0) is 0.0625, mcnemar(0, 0) is 1.
    """
    changed = lost + gained
    tail = sum(math.comb(changed, k) for k in range(lost, changed + 1))
    return tail / (1 << changed)


def increase(before: Sequence[float], after: Sequence[float], weights: Sequence[float]) -> float:
    """The weighted mean of ``after - before``: with tokens as weights, nat per token over all passages."""
    return math.fsum(w * (b - a) for a, b, w in zip(before, after, weights, strict=True)) / math.fsum(weights)


def upper_bound(
    before: Sequence[float],
    after: Sequence[float],
    weights: Sequence[float],
    seed: int,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
) -> float:
    """The upper bound of ``increase`` at one-sided ``confidence``, by drawing whole passages with replacement.

    Passages, not tokens, are drawn: tokens of one passage rise and fall together.
    """
    generator = random.Random(seed)
    pairs = [(w * (b - a), w) for a, b, w in zip(before, after, weights, strict=True)]
    means = []
    for _ in range(resamples):
        drawn = generator.choices(pairs, k=len(pairs))
        means.append(sum(pair[0] for pair in drawn) / sum(pair[1] for pair in drawn))
    means.sort()
    return means[min(resamples - 1, math.ceil(confidence * resamples) - 1)]


def text_bound(base: Sequence[float], candidate: Sequence[float], tokens: Sequence[float]) -> float:
    """The upper bound of the rise in nat per token over passages that both read: what the gate limits."""
    return upper_bound(base, candidate, tokens, _SEED)


def all_but_one_in_twenty(values: Sequence[float]) -> float:
    """The 95th percentile as a value that occurs: at most one in twenty is larger."""
    return sorted(values)[math.ceil(0.95 * len(values)) - 1]


def distinct3_floor(base: float, floor: float, max_drop: float) -> float:
    """The fewest different three-word sequences that replies may have: an absolute floor, and one under the base's."""
    return max(floor, base - max_drop)
