"""Whether a cycle runs now, and why not. Pure: a snapshot of the state and the thresholds in, a Decision out.

The checks are in the order in which people ask; the reason is the first that fails, with its numbers. A
missed or doubled alarm changes nothing, because every decision is computed anew from state.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from sleepd.daemon.pace import AS_SCHEDULED, Pace
from sleepd.daemon.urgent import Urgent
from sleepd.records import Check, CycleKind, Decision, Phase, Totals

SCHEDULE_CHECKS = frozenset({"phase", "experiences", "new_experiences", "interval", "quiet", "paused"})
"""What ``sleep --force`` skips. Conditions, a running cycle, the model and a collapsed buffer it never skips."""

DRIFT_SHARE = 0.4
"""A living adapter that strayed this share of the gate's limit (KL on unrelated prompts) is due for a deep cycle, from the base again.

A little farther off, general knowledge begins to go, and nights are rejected for it.
"""
LIGHTS_BEFORE_DRIFT = 4
"""So many light cycles come first: an adapter made anew from a hundred facts strays about as far, so another brings nothing back."""


@dataclass(frozen=True)
class Thresholds:
    """The schedule with its preset applied. Hours, minutes, counts.

    ``early_hours``: what an urgent exchange shortens the hours to; None when no night begins early. ``least_new`` and
    ``least_hours``: a person set them, so a quick pace does not go below them.
    """

    min_experiences: int
    min_new_experiences: int
    min_hours_between_sleep: float
    idle_minutes: float
    deep_every: int
    max_kl: float
    early_hours: float | None = None
    least_new: int = 0
    least_hours: float = 0.0


@dataclass(frozen=True)
class History:
    """What earlier cycles say about the next one's kind. ``deep_wanted``: why a person's wish needs a deep one."""

    lights_since_deep: int = 0
    rejections_in_a_row: int = 0
    kl: float | None = None
    cards_without_adapter: bool = False
    deep_wanted: str | None = None


@dataclass(frozen=True)
class Snapshot:
    """Everything a decision depends on.

    ``hours_since_last`` and ``quiet_minutes`` are None when there was no cycle or no buffer yet.
    ``running``, ``paused_by``, ``model_problem`` and ``tail_problem`` are None when nothing is wrong.
    """

    phase: Phase
    totals: Totals
    hours_since_last: float | None
    quiet_minutes: float | None
    conditions: tuple[Check, ...]
    running: str | None = None
    paused_by: str | None = None
    model_problem: str | None = None
    tail_problem: str | None = None
    history: History = History()
    urgent: Urgent | None = None
    pace: Pace = AS_SCHEDULED


def decide(snapshot: Snapshot, thresholds: Thresholds, *, force: bool = False, kind: CycleKind | None = None) -> Decision:
    """All checks, in order. ``force`` skips the schedule; ``kind`` overrules the choice of light or deep."""
    paced = at_pace(thresholds, snapshot.pace)
    checks = (
        _phase(snapshot),
        _experiences(snapshot, thresholds),
        _new(snapshot, thresholds, paced),
        _interval(snapshot, thresholds, paced),
        _quiet(snapshot, thresholds),
        *snapshot.conditions,
        Check("running", snapshot.running is None, "no cycle is running" if snapshot.running is None else f"{snapshot.running} is running"),
        Check("paused", snapshot.paused_by is None, "not paused" if snapshot.paused_by is None else f"Paused by {snapshot.paused_by}"),
        Check("model", snapshot.model_problem is None, snapshot.model_problem or "base model is the pinned one"),
        Check("buffer", snapshot.tail_problem is None, snapshot.tail_problem or "recent replies are sound"),
    )
    chosen = kind or choose_kind(snapshot, thresholds)
    for check in checks:
        if check.ok or (force and check.name in SCHEDULE_CHECKS):
            continue
        return Decision(False, check.detail, checks, chosen)
    totals = snapshot.totals
    if force:
        if totals.usable == 0 and snapshot.history.deep_wanted is None:
            return Decision(False, "Nothing usable to learn from (0 of " + f"{totals.experiences} experiences)", checks, chosen)
        return Decision(True, f"Forced: {totals.usable} experiences ({totals.new} new)", checks, chosen)
    if snapshot.urgent is not None and _early(snapshot, paced):
        reason = f"Ready early: exchange {snapshot.urgent.experience_id} {snapshot.urgent.why}"
        return Decision(True, f"{reason} ({totals.usable} experiences, {totals.new} new)", checks, chosen)
    return Decision(True, f"Ready: {totals.usable} experiences ({totals.new} new), sufficient time elapsed", checks, chosen)


def seconds_until_change(snapshot: Snapshot, thresholds: Thresholds) -> float | None:
    """When time alone will turn a check that fails now; None when only an event can."""
    waits = []
    need = _hours_needed(snapshot, at_pace(thresholds, snapshot.pace))
    if snapshot.quiet_minutes is not None and snapshot.quiet_minutes < thresholds.idle_minutes:
        waits.append((thresholds.idle_minutes - snapshot.quiet_minutes) * 60)
    if snapshot.hours_since_last is not None and snapshot.hours_since_last < need:
        waits.append((need - snapshot.hours_since_last) * 3600)
    return min(waits, default=None)


def at_pace(thresholds: Thresholds, pace: Pace) -> Thresholds:
    """The thresholds that are in force at this pace."""
    if pace.factor == 1.0:
        return thresholds
    new, hours = thresholds.min_new_experiences, thresholds.min_hours_between_sleep
    return replace(
        thresholds,
        min_new_experiences=max(math.ceil(new * pace.factor), min(new, thresholds.least_new)),
        min_hours_between_sleep=max(hours * pace.factor, min(hours, thresholds.least_hours)),
        early_hours=None if thresholds.early_hours is None else thresholds.early_hours * max(1.0, pace.factor),
    )


def choose_kind(snapshot: Snapshot, thresholds: Thresholds) -> CycleKind:
    """Deep in DEEP_NIGHT when it is due: every so many nights, after two rejections, or near the norm cap.

    Without an adapter but with cards (the base model was changed), only a deep cycle can bring them back; what a person
    wants out of the weights, only a deep cycle takes out.
    """
    history = snapshot.history
    if history.cards_without_adapter or history.deep_wanted is not None:
        return "deep"
    if snapshot.phase != "DEEP_NIGHT":
        return "light"
    return "deep" if deep_is_due(history, thresholds.deep_every, thresholds.max_kl) else "light"


def deep_is_due(history: History, deep_every: int, max_kl: float) -> bool:
    """Every so many cycles, after two rejected ones, or when the living adapter strayed far from the base."""
    drifted = history.kl is not None and history.kl >= DRIFT_SHARE * max_kl and history.lights_since_deep >= LIGHTS_BEFORE_DRIFT
    return drifted or history.lights_since_deep >= deep_every - 1 or history.rejections_in_a_row >= 2


def _phase(snapshot: Snapshot) -> Check:
    awake = snapshot.phase == "DAY"
    return Check(
        "phase", not awake, f"Phase is {snapshot.phase}, cycles run in NIGHT and DEEP_NIGHT" if awake else f"phase is {snapshot.phase}"
    )


def _experiences(snapshot: Snapshot, thresholds: Thresholds) -> Check:
    have, need = snapshot.totals.usable, thresholds.min_experiences
    if have < need and snapshot.history.deep_wanted is not None:
        return Check("experiences", True, f"{have} usable experiences; a deep cycle is wanted: {snapshot.history.deep_wanted}")
    if have < need:
        return Check("experiences", False, f"Insufficient experiences ({have} < {need})")
    kinds = f"{snapshot.totals.examples} examples, {snapshot.totals.with_cards} with facts"
    return Check("experiences", True, f"{have} usable experiences >= {need} ({kinds})")


def _new(snapshot: Snapshot, thresholds: Thresholds, paced: Thresholds) -> Check:
    have, need = snapshot.totals.new, paced.min_new_experiences
    slower = _times(snapshot.pace, f"{thresholds.min_new_experiences}") if need != thresholds.min_new_experiences else ""
    if have >= need:
        return Check("new_experiences", True, f"{have} new experiences >= {need}{slower}")
    if snapshot.history.deep_wanted is not None:
        return Check("new_experiences", True, f"{have} new experiences; a deep cycle is wanted: {snapshot.history.deep_wanted}")
    if have and snapshot.urgent is not None and paced.early_hours is not None:
        return Check("new_experiences", True, f"{have} new, enough because exchange {_named(snapshot.urgent)}")
    return Check("new_experiences", False, f"Insufficient new experiences ({have} < {need}){slower}")


def _interval(snapshot: Snapshot, thresholds: Thresholds, paced: Thresholds) -> Check:
    need, hours = _hours_needed(snapshot, paced), snapshot.hours_since_last
    if hours is None:
        return Check("interval", True, "no cycle yet")
    note = ""
    if need < paced.min_hours_between_sleep and snapshot.urgent is not None:
        note = f", early because exchange {_named(snapshot.urgent)}"
    elif need != thresholds.min_hours_between_sleep:
        note = _times(snapshot.pace, f"{thresholds.min_hours_between_sleep:.1f} h")
    if hours < need:
        return Check("interval", False, f"Too soon since the last cycle ({hours:.2f} h < {need:.1f} h){note}")
    return Check("interval", True, f"{hours:.1f} h since the last cycle >= {need:.1f} h{note}")


def _hours_needed(snapshot: Snapshot, paced: Thresholds) -> float:
    if snapshot.urgent is None or paced.early_hours is None:
        return paced.min_hours_between_sleep
    return min(paced.min_hours_between_sleep, paced.early_hours)


def _early(snapshot: Snapshot, paced: Thresholds) -> bool:
    """Whether it is the urgent exchange that makes the night begin now."""
    hours = snapshot.hours_since_last
    return snapshot.totals.new < paced.min_new_experiences or (hours is not None and hours < paced.min_hours_between_sleep)


def _named(urgent: Urgent) -> str:
    return f"{urgent.experience_id} {urgent.why}"


def _times(pace: Pace, number: str) -> str:
    return f" ({number} x {pace.factor:.3g}: {pace.reason})"


def _quiet(snapshot: Snapshot, thresholds: Thresholds) -> Check:
    need, minutes = thresholds.idle_minutes, snapshot.quiet_minutes
    if minutes is None:
        return Check("quiet", True, "no buffer has been written")
    if minutes < need:
        return Check("quiet", False, f"The buffer was written recently ({minutes:.1f} min < {need:.1f} min)")
    return Check("quiet", True, f"buffer quiet for {minutes:.1f} min >= {need:.1f} min")
