"""How large the adapter may be: the budgets of harm that a measurement exceeds, and the largest scale that exceeds none.

Pure. The budgets are the gate's, by its own arithmetic and under the names of its limits, so that a candidate is
made smaller before it is refused. A measurement that is not there exceeds nothing here: the gate refuses for that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sleepd.statistics import all_but_one_in_twenty, distinct3_floor, text_bound

BISECTIONS = 5


def exceeded(evaluation: Mapping[str, Any], gate: Mapping[str, Any]) -> tuple[str, ...]:
    """The limits of ``gate`` (names of the configuration) that the measurements in ``evaluation`` are beyond.

    A number that is not finite is beyond every limit.
    """
    found = []
    nats = [row["kl"] for row in evaluation.get("rehearsal", ())]
    if nats and "max_kl" in gate and not sum(nats) / len(nats) <= gate["max_kl"]:
        found.append("max_kl")
    if nats and "max_kl_p95" in gate and not all_but_one_in_twenty(nats) <= gate["max_kl_p95"]:
        found.append("max_kl_p95")
    text = evaluation.get("text") or {}
    measured = bool(text.get("base")) and "max_text_loss" in gate
    if measured and not text_bound(text["base"], text["candidate"], text["tokens"]) <= gate["max_text_loss"]:
        found.append("max_text_loss")
    asked = evaluation.get("neighbours")
    if asked and "max_leak" in gate and not sum(row["leaked"] for row in asked) / len(asked) <= gate["max_leak"]:
        found.append("max_leak")
    collapse = evaluation.get("collapse")
    if collapse and {"min_distinct3", "max_distinct3_drop"} <= set(gate):
        floor = distinct3_floor(collapse["base"]["distinct3"], gate["min_distinct3"], gate["max_distinct3_drop"])
        if not collapse["candidate"]["distinct3"] >= floor:
            found.append("min_distinct3")
    return tuple(found)


@dataclass(frozen=True)
class Trial:
    """One scale of the adapter, measured. ``exceeded``: limits that it is beyond, as far as they were measured.

    ``recall``: of the taught cards on development wordings, None where there are none.
    """

    scale: float
    exceeded: tuple[str, ...]
    recall: float | None

    def useful(self, min_recall: float) -> bool:
        """Whether it still holds what it was trained for."""
        return self.recall is None or self.recall >= min_recall


def largest_within(full: Trial, attempt: Callable[[float], Trial], min_recall: float, tries: int = BISECTIONS) -> list[Trial]:
    """What was tried below ``full``, which exceeds a budget; the last useful one that exceeds none is the one to take.

    Bisects, since harm and recall both grow with the scale. Ends early where what is too harmful has already lost its
    recall: an adapter that is made harmless by unlearning is worth nothing, and its refusal should name the harm.
    """
    within, beyond = 0.0, full.scale
    tried: list[Trial] = []
    for _ in range(tries):
        trial = attempt((within + beyond) / 2)
        tried.append(trial)
        if not trial.exceeded:
            within = trial.scale
        elif trial.useful(min_recall):
            beyond = trial.scale
        else:
            break
    return tried


def chosen(tried: Sequence[Trial], min_recall: float) -> Trial | None:
    """The largest of those that exceed nothing and are useful."""
    fit = [trial for trial in tried if not trial.exceeded and trial.useful(min_recall)]
    return max(fit, key=lambda trial: trial.scale, default=None)
