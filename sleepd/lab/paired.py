"""Paired differences over seeds, with a t interval. Plain arithmetic.

Source: Student, The probable error of a mean, Biometrika 6 (1908); two-sided 95 %.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import fmean, stdev
from typing import Any

# The 97.5 % quantile of Student's t by degrees of freedom; above 30 the next tabled number below is used.
_T = (
    *(12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281),
    *(2.2010, 2.1788, 2.1604, 2.1448, 2.1314, 2.1199, 2.1098, 2.1009, 2.0930, 2.0860),
    *(2.0796, 2.0739, 2.0687, 2.0639, 2.0595, 2.0555, 2.0518, 2.0484, 2.0452, 2.0423),
)
KEYS = (
    "direct",
    "paraphrase",
    "reverse",
    "all_after",
    "average_accuracy",
    "bwt",
    "forgetting",
    "known_after",
    "text_loss_after",
    "kl",
    "leak",
)


@dataclass(frozen=True)
class Difference:
    """The mean of the differences and its 95 % interval; one seed has no interval."""

    difference: float
    low: float | None
    high: float | None


def t_quantile(degrees: int) -> float:
    """The two-sided 95 % quantile, never too small."""
    return _T[min(degrees, len(_T)) - 1]


def difference(ours: Sequence[float], other: Sequence[float]) -> Difference:
    """``ours`` minus ``other``, seed by seed."""
    each = [a - b for a, b in zip(ours, other, strict=True)]
    mean = fmean(each)
    if len(each) < 2:
        return Difference(round(mean, 5), None, None)
    half = t_quantile(len(each) - 1) * stdev(each) / math.sqrt(len(each))
    return Difference(round(mean, 5), round(mean - half, 5), round(mean + half, 5))


def paired(reference: Sequence[dict[str, Any]], other: Sequence[dict[str, Any]]) -> dict[str, dict[str, float | None]]:
    """Every key that both have for every seed."""
    found = {}
    for key in KEYS:
        a, b = [one.get(key) for one in reference], [one.get(key) for one in other]
        if all(v is not None for v in (*a, *b)):
            found[key] = asdict(difference([float(v) for v in a if v is not None], [float(v) for v in b if v is not None]))
    return found
