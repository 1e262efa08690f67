"""How fast nights may follow one another, learned from how the last ones ended. Pure.

A rejected night is a reason to wait for more before the next try; nights that pass, with what was learned still there,
are a reason to wait for less. With no history, or a mixed one, the schedule's own numbers hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

SLOWEST, FASTEST = 4.0, 0.5
SLOWER, FASTER = 2.0, 0.75
STREAK = 3
"""So many committed nights in a row make it faster by one step."""
KEPT = 0.95
"""Of the earlier cards that were ever recalled, this share must still be, or nights come no faster."""

_BAD, _GOOD = ("rejected", "rolled_back"), ("committed",)


@dataclass(frozen=True)
class Pace:
    """What new experiences and hours are multiplied with, and why; no ``reason``: the schedule's own numbers."""

    factor: float = 1.0
    reason: str = ""


AS_SCHEDULED = Pace()


def pace(verdicts: Sequence[str], kept: float | None) -> Pace:
    """From the verdicts of the last cycles, newest first, and the share of earlier cards that the last committed one kept.

    A night that was stopped or abandoned says nothing and is skipped. ``kept`` is None when there was no earlier card.
    """
    told = [verdict for verdict in verdicts if verdict in (*_BAD, *_GOOD)]
    rejected = _run(told, _BAD)
    if rejected:
        nights = "the last night was" if rejected == 1 else f"the last {rejected} nights were"
        return Pace(min(SLOWEST, SLOWER**rejected), f"{nights} rejected")
    committed = _run(told, _GOOD)
    if committed < STREAK or (kept is not None and kept < KEPT):
        return AS_SCHEDULED
    factor = max(FASTEST, FASTER ** (committed // STREAK))
    held = "" if kept is None else f", {kept:.0%} of the earlier facts kept"
    return Pace(factor, f"{committed} nights in a row passed{held}")


def _run(verdicts: Sequence[str], wanted: tuple[str, ...]) -> int:
    return sum(1 for _ in takewhile(lambda verdict: verdict in wanted, verdicts))
