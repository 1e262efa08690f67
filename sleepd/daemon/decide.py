"""Whether a cycle runs now, and why not. Pure: a snapshot of the state and the thresholds in, a Decision out.

The checks are in the order in which people ask; the reason is the first that fails, with its numbers. A
missed or doubled alarm changes nothing, because every decision is computed anew from state.
"""

from __future__ import annotations

from dataclasses import dataclass

from sleepd.records import Check, CycleKind, Decision, Phase, Totals

SCHEDULE_CHECKS = frozenset({"phase", "experiences", "new_experiences", "interval", "quiet", "paused"})
"""What ``sleep --force`` skips. Conditions, a running cycle, the model and a collapsed buffer it never skips."""

DRIFT_SHARE = 0.8
"""A living adapter that strayed this share of the gate's limit (KL on unrelated prompts) is due for a deep cycle, from the base again."""


@dataclass(frozen=True)
class Thresholds:
    """The schedule with its preset applied. Hours, minutes, counts."""

    min_experiences: int
    min_new_experiences: int
    min_hours_between_sleep: float
    idle_minutes: float
    deep_every: int
    max_kl: float


@dataclass(frozen=True)
class History:
    """What earlier cycles say about the next one's kind."""

    lights_since_deep: int = 0
    rejections_in_a_row: int = 0
    kl: float | None = None
    cards_without_adapter: bool = False


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


def decide(snapshot: Snapshot, thresholds: Thresholds, *, force: bool = False, kind: CycleKind | None = None) -> Decision:
    """All checks, in order. ``force`` skips the schedule; ``kind`` overrules the choice of light or deep."""
    checks = (
        _phase(snapshot),
        _experiences(snapshot, thresholds),
        _new(snapshot, thresholds),
        _interval(snapshot, thresholds),
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
        if totals.usable == 0:
            return Decision(False, "Nothing usable to learn from (0 of " + f"{totals.experiences} experiences)", checks, chosen)
        return Decision(True, f"Forced: {totals.usable} experiences ({totals.new} new)", checks, chosen)
    return Decision(True, f"Ready: {totals.usable} experiences ({totals.new} new), sufficient time elapsed", checks, chosen)


def seconds_until_change(snapshot: Snapshot, thresholds: Thresholds) -> float | None:
    """When time alone will turn a check that fails now; None when only an event can."""
    waits = []
    if snapshot.quiet_minutes is not None and snapshot.quiet_minutes < thresholds.idle_minutes:
        waits.append((thresholds.idle_minutes - snapshot.quiet_minutes) * 60)
    if snapshot.hours_since_last is not None and snapshot.hours_since_last < thresholds.min_hours_between_sleep:
        waits.append((thresholds.min_hours_between_sleep - snapshot.hours_since_last) * 3600)
    return min(waits, default=None)


def choose_kind(snapshot: Snapshot, thresholds: Thresholds) -> CycleKind:
    """Deep in DEEP_NIGHT when it is due: every so many nights, after two rejections, or near the norm cap.

    Without an adapter but with cards (the base model was changed), only a deep cycle can bring them back.
    """
    history = snapshot.history
    if history.cards_without_adapter:
        return "deep"
    if snapshot.phase != "DEEP_NIGHT":
        return "light"
    drifted = history.kl is not None and history.kl >= DRIFT_SHARE * thresholds.max_kl
    due = history.lights_since_deep >= thresholds.deep_every - 1 or history.rejections_in_a_row >= 2
    return "deep" if drifted or due else "light"


def _phase(snapshot: Snapshot) -> Check:
    awake = snapshot.phase == "DAY"
    return Check(
        "phase", not awake, f"Phase is {snapshot.phase}, cycles run in NIGHT and DEEP_NIGHT" if awake else f"phase is {snapshot.phase}"
    )


def _experiences(snapshot: Snapshot, thresholds: Thresholds) -> Check:
    have, need = snapshot.totals.usable, thresholds.min_experiences
    if have < need:
        return Check("experiences", False, f"Insufficient experiences ({have} < {need})")
    kinds = f"{snapshot.totals.examples} examples, {snapshot.totals.with_cards} with facts"
    return Check("experiences", True, f"{have} usable experiences >= {need} ({kinds})")


def _new(snapshot: Snapshot, thresholds: Thresholds) -> Check:
    have, need = snapshot.totals.new, thresholds.min_new_experiences
    if have < need:
        return Check("new_experiences", False, f"Insufficient new experiences ({have} < {need})")
    return Check("new_experiences", True, f"{have} new experiences >= {need}")


def _interval(snapshot: Snapshot, thresholds: Thresholds) -> Check:
    need, hours = thresholds.min_hours_between_sleep, snapshot.hours_since_last
    if hours is None:
        return Check("interval", True, "no cycle yet")
    if hours < need:
        return Check("interval", False, f"Too soon since the last cycle ({hours:.2f} h < {need:.1f} h)")
    return Check("interval", True, f"{hours:.1f} h since the last cycle >= {need:.1f} h")


def _quiet(snapshot: Snapshot, thresholds: Thresholds) -> Check:
    need, minutes = thresholds.idle_minutes, snapshot.quiet_minutes
    if minutes is None:
        return Check("quiet", True, "no buffer has been written")
    if minutes < need:
        return Check("quiet", False, f"The buffer was written recently ({minutes:.1f} min < {need:.1f} min)")
    return Check("quiet", True, f"buffer quiet for {minutes:.1f} min >= {need:.1f} min")
