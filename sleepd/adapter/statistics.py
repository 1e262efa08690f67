"""The two statistics of the gate, in plain Python: an exact McNemar test and a bootstrap bound.

Pure and deterministic: the bootstrap's seed is an argument. Sources: McNemar, Psychometrika 12 (1947), with the
exact binomial tail; Efron, Annals of Statistics 7 (1979), percentile method.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

RESAMPLES = 2000


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
