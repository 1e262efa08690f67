"""The steps of a cycle, one table. Each step: what is written down before it, its work, where it leads, how it recovers.

``note`` and ``settle`` run in the main loop and may use the ledger; the task that ``prepare`` returns runs in the
worker and may not. ``settle`` and the entry of the next step are one transaction, so that nothing is counted
twice. No step calls another: it names the next one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sleepd.daemon import steps_child, steps_judge, steps_switch
from sleepd.daemon.context import Context, Move, Run
from sleepd.errors import SleepdError

Task = Callable[[], Any]


@dataclass(frozen=True)
class Step:
    """One row of the table.

    ``prepare`` returns the worker's task, or None for a step whose end is the child's. ``recover`` says where a
    start-up that finds this step goes on.
    """

    name: str
    note: Callable[[Context, Run], Mapping[str, Any]]
    prepare: Callable[[Context, Run], Task | None]
    settle: Callable[[Context, Run, Any], Move]
    failed: Callable[[Context, Run, SleepdError], Move]
    recover: Callable[[Context, Run], Move]


def _again(name: str) -> Callable[[Context, Run], Move]:
    return lambda context, run: Move(name)


def _nothing(context: Context, run: Run) -> Mapping[str, Any]:
    return {}


def _followed(context: Context, run: Run) -> None:
    """DATASET, TRAIN and EVALUATE are the same child further on: it is already running."""


def _child(name: str) -> Step:
    return Step(name, _nothing, _followed, steps_child.settle, steps_child.failed, steps_child.recover)


STEPS: tuple[Step, ...] = (
    Step("CURATE", steps_child.note, steps_child.launch, steps_child.settle, steps_child.failed, steps_child.recover),
    _child("DATASET"),
    _child("TRAIN"),
    _child("EVALUATE"),
    Step("GATE", steps_judge.note_gate, steps_judge.judge, steps_judge.settle_gate, steps_judge.failed, _again("GATE")),
    Step("STORE", steps_judge.note_store, steps_judge.store, steps_judge.settle_store, steps_judge.failed, _again("STORE")),
    Step(
        "ACTIVATE",
        steps_switch.note_activate,
        steps_switch.activate,
        steps_switch.settle_activate,
        steps_switch.failed_activate,
        _again("ACTIVATE"),
    ),
    Step(
        "RELOAD",
        steps_switch.note_reload,
        steps_switch.reload,
        steps_switch.settle_reload,
        steps_switch.failed_try,
        steps_switch.recover_try,
    ),
    Step("VERIFY", _nothing, steps_switch.verify, steps_switch.settle_verify, steps_switch.failed_try, steps_switch.recover_try),
    Step("COMMIT", _nothing, steps_switch.commit, steps_switch.settle_commit, steps_switch.failed_commit, _again("COMMIT")),
    Step("ROLLBACK", _nothing, steps_switch.roll_back, steps_switch.settle_roll_back, steps_switch.failed_roll_back, _again("ROLLBACK")),
    Step("CLEAN", steps_judge.note_clean, steps_judge.clean, steps_judge.settle_clean, steps_judge.failed_clean, _again("CLEAN")),
)
TABLE: Mapping[str, Step] = {step.name: step for step in STEPS}
CHILD_STEPS = ("CURATE", "DATASET", "TRAIN", "EVALUATE")
