from __future__ import annotations

from dataclasses import replace

import pytest

from sleepd.daemon.decide import History, Snapshot, Thresholds, decide, seconds_until_change
from sleepd.records import Check, CycleKind, Totals

LIMITS = Thresholds(5, 2, 6.0, 10.0, 7, 0.02)
READY = Snapshot("NIGHT", Totals(20, 9, 6, 5, 3), 7.5, 45.0, (Check("power", True, "on mains power"),))


def totals(usable: int, new: int) -> Totals:
    return Totals(20, usable, usable, 0, new)


def test_everything_in_order_runs_and_says_so_in_the_seeds_words() -> None:
    decision = decide(READY, LIMITS)
    assert decision.should_run and decision.reason == "Ready: 9 experiences (3 new), sufficient time elapsed"
    assert [c.name for c in decision.checks] == [
        "phase", "experiences", "new_experiences", "interval", "quiet", "power", "running", "paused", "model", "buffer",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "name", "reason"),
    [
        ({"phase": "DAY"}, "phase", "Phase is DAY, cycles run in NIGHT and DEEP_NIGHT"),
        ({"totals": totals(3, 3)}, "experiences", "Insufficient experiences (3 < 5)"),
        ({"totals": totals(7, 1)}, "new_experiences", "Insufficient new experiences (1 < 2)"),
        ({"hours_since_last": 0.41}, "interval", "Too soon since the last cycle (0.41 h < 6.0 h)"),
        ({"quiet_minutes": 2.0}, "quiet", "The buffer was written recently (2.0 min < 10.0 min)"),
        ({"conditions": (Check("disk", False, "Too little free disk"),)}, "disk", "Too little free disk"),
        ({"running": "cycle_004 (TRAIN)"}, "running", "cycle_004 (TRAIN) is running"),
        ({"paused_by": "ann@tty1"}, "paused", "Paused by ann@tty1"),
        ({"model_problem": "model.path is not configured"}, "model", "model.path is not configured"),
        ({"tail_problem": "the last 30 replies repeat"}, "buffer", "the last 30 replies repeat"),
    ],
)
def test_each_condition_alone_prevents_a_cycle_and_is_named_with_its_numbers(changed: dict[str, object], name: str, reason: str) -> None:
    decision = decide(replace(READY, **changed), LIMITS)  # type: ignore[arg-type]  # one field at a time
    assert not decision.should_run and decision.reason == reason
    assert [c.name for c in decision.checks if not c.ok] == [name]


def test_the_reason_is_the_first_check_that_fails() -> None:
    assert decide(replace(READY, phase="DAY", totals=totals(0, 0), paused_by="x"), LIMITS).reason.startswith("Phase is DAY")


@pytest.mark.parametrize(
    "changed", [{"phase": "DAY"}, {"totals": totals(1, 0)}, {"hours_since_last": 0.0}, {"quiet_minutes": 0.0}, {"paused_by": "x"}]
)
def test_force_skips_the_schedule(changed: dict[str, object]) -> None:
    assert decide(replace(READY, **changed), LIMITS, force=True).should_run  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "changed",
    [
        {"conditions": (Check("memory", False, "Too little free memory"),)},
        {"running": "cycle_004"},
        {"model_problem": "no model"},
        {"tail_problem": "collapsed"},
        {"totals": totals(0, 0)},
    ],
)
def test_force_does_not_skip_what_protects_the_model_and_the_machine(changed: dict[str, object]) -> None:
    assert not decide(replace(READY, **changed), LIMITS, force=True).should_run  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("phase", "history", "kind"),
    [
        ("NIGHT", History(lights_since_deep=20), "light"),
        ("DEEP_NIGHT", History(lights_since_deep=5), "light"),
        ("DEEP_NIGHT", History(lights_since_deep=6), "deep"),
        ("DEEP_NIGHT", History(rejections_in_a_row=2), "deep"),
        ("DEEP_NIGHT", History(lights_since_deep=4, kl=0.008), "deep"),
        ("DEEP_NIGHT", History(lights_since_deep=4, kl=0.0079), "light"),
        ("DEEP_NIGHT", History(lights_since_deep=3, kl=0.02), "light"),  # it was made anew a few cycles ago
        ("NIGHT", History(cards_without_adapter=True), "deep"),
    ],
)
def test_a_deep_cycle_comes_when_it_is_due(phase: str, history: History, kind: CycleKind) -> None:
    assert decide(replace(READY, phase=phase, history=history), LIMITS).kind == kind  # type: ignore[arg-type]


def test_who_asks_for_a_kind_gets_it() -> None:
    assert decide(READY, LIMITS, kind="deep").kind == "deep"


def test_a_first_night_without_a_cycle_or_a_buffer_before_it_may_run() -> None:
    assert decide(replace(READY, hours_since_last=None, quiet_minutes=None), LIMITS).should_run


def test_time_that_alone_changes_a_decision_is_known() -> None:
    assert seconds_until_change(READY, LIMITS) is None
    assert seconds_until_change(replace(READY, quiet_minutes=9.0), LIMITS) == pytest.approx(60)
    assert seconds_until_change(replace(READY, hours_since_last=5.5, quiet_minutes=0.0), LIMITS) == pytest.approx(600)
