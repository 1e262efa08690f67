"""Drives one run through the step table: writes a step down, does its work, settles it, goes where it leads.

Owns the order and its durability, not what a step does. Everything here happens in the main loop's thread;
what takes time runs in the worker or in the child and comes back as an event. There is one run at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from sleepd.daemon import steps_child
from sleepd.daemon.context import ChildOutcome, Context, Move, Run
from sleepd.daemon.events import ChildExited, ChildFailed, ChildProgress
from sleepd.daemon.runlog import log_of, unfinished
from sleepd.daemon.steps import CHILD_STEPS, STEPS, TABLE
from sleepd.daemon.supervisor import describe_exit, end_orphan
from sleepd.daemon.telling import as_error, tell_end, tell_failure
from sleepd.daemon.timers import Timers
from sleepd.daemon.worker import Submit
from sleepd.errors import LedgerError, SkippedError, SleepdError
from sleepd.journal import Event, logger
from sleepd.records import Progress

log = logger(__name__)

LEDGER_RETRY_SECONDS = 30.0
_ORDER = {step.name: position for position, step in enumerate(STEPS)}
Hook = Callable[[str, str], None]


def no_hook(moment: str, step: str) -> None:
    """The seam for tests: called with "entering", "working", "leaving" and the step's name."""


class CycleDriver:
    """One run at a time. ``changed`` is called after every visible change, ``finished`` with a run that ended."""

    def __init__(
        self,
        context: Context,
        submit: Submit,
        timers: Timers,
        changed: Callable[[Run], None],
        finished: Callable[[Run], None],
        hook: Hook = no_hook,
    ) -> None:
        self._context = context
        self._submit = submit
        self._timers = timers
        self._changed = changed
        self._finished = finished
        self._hook = hook
        self.run: Run | None = None
        self.problem: SleepdError | None = None
        self._at_work = False
        self._halted = False

    # -- what others ask for ----------------------------------------------------------------------------------

    @property
    def busy(self) -> bool:
        """Whether a run is going on. One that waits for its next night is not."""
        return self.run is not None and self.run.waiting is None

    @property
    def working(self) -> bool:
        """Whether the child or the worker has something of the run in hand."""
        return self.run is not None and (self._at_work or self.run.child is not None)

    def halt(self) -> None:
        """Enter no further step: the process ends, and the next start goes on from the ledger."""
        self._halted = True
        self._timers.cancel("step")

    def begin(self, run: Run, step: str) -> None:
        """Start a run at this step. For a cycle, the caller has begun its row in the ledger."""
        assert not self.busy
        self.run = run
        self._go(run, Move(step))

    def check_free(self) -> None:
        """Raise SkippedError unless a run may begin now."""
        if self._halted:
            raise SkippedError("sleepd is stopping", "ask again when it has started")
        if self.busy:
            raise SkippedError(f"{self.run.name if self.run else 'a cycle'} is running", "follow it with `sleepd sleep --follow`")

    def resume(self) -> None:
        """Go on with the cycle that waits at its checkpoint."""
        assert self.run is not None and self.run.waiting is not None
        log.info(Event.CYCLE_STARTED, cycle=self.run.name, kind=self.run.kind, resumed=True)
        self._go(self.run, Move("CURATE"))

    def abandon_waiting(self, reason: str) -> None:
        """Give up the cycle that waits at its checkpoint."""
        assert self.run is not None and self.run.waiting is not None
        self.run.data["stopped"] = None
        self.run.give("abandoned", reason)
        self._go(self.run, Move("CLEAN"))

    def recover(self) -> None:
        """At start-up: go on with what the last process left, by the table."""
        run = unfinished(self._context.ledger)
        if run is None:
            return
        self.run = run
        if run.job_dir is not None and run.step in CHILD_STEPS:
            end_orphan(run.job_dir, self._context.loaded.config.training.grace_seconds)
        move = TABLE[run.step].recover(self._context, run)
        log.warning(Event.CYCLE_RECOVERED, cycle=run.name, step=run.step, next=move.step, waiting=move.wait)
        self._go(run, move)

    def stop_child(self, reason: str, *, abandon: bool = False) -> None:
        """Ask a running child to stop at a checkpoint; it is killed after the grace period. ``abandon``: do not resume it."""
        run = self.run
        if run is None or run.child is None:
            return
        if abandon:
            run.data["abandon"] = True
        if run.stop_reason is not None:
            return
        run.stop_reason = reason
        log.info(Event.CYCLE_STOPPING, cycle=run.name, reason=reason)
        run.child.stop()
        self._timers.after("child-grace", self._context.loaded.config.training.grace_seconds, run.child.kill)

    # -- the child's events -----------------------------------------------------------------------------------

    def on_progress(self, event: ChildProgress) -> None:
        run = self._of(event.child)
        if run is None:
            return
        run.progress = event.progress
        stage = event.progress.stage.upper()
        if stage in CHILD_STEPS and _ORDER[stage] > _ORDER[run.step]:
            self._follow(run, stage)
        self._changed(run)

    def _follow(self, run: Run, stage: str) -> None:
        self._hook("entering", stage)
        before, run.step = run.step, stage
        try:
            log_of(self._context.ledger, run).enter(run, self._context.now())
        except LedgerError as error:  # the child goes on: where it is can be told from its files
            run.step, self.problem = before, error
            log.error(Event.LEDGER_FAILED, cycle=run.name, error=error.message, remedy=error.remedy)
            return
        log.info(Event.CYCLE_STEP, cycle=run.name, stage=stage)
        self._hook("working", stage)

    def on_failed(self, event: ChildFailed) -> None:
        run = self._of(event.child)
        if run is not None:
            run.child_error = (event.message, event.remedy)

    def on_exited(self, event: ChildExited) -> None:
        run = self._of(event.child)
        if run is None:
            return
        self._timers.cancel("child-limit")
        self._timers.cancel("child-grace")
        outcome = ChildOutcome(event.status, run.child_error, run.stop_reason)
        run.child, run.child_error, run.stop_reason = None, None, None
        log.info(
            Event.CHILD_EXITED,
            cycle=run.name,
            stage=run.step,
            status=event.status,
            meaning=describe_exit(event.status)[0] if event.status else "done",
        )
        self._settle(run, run.step, outcome, None)

    def _of(self, child: int) -> Run | None:
        run = self.run
        return run if run is not None and run.child is not None and run.child.serial == child else None

    # -- the machine ------------------------------------------------------------------------------------------

    def _go(self, run: Run, move: Move) -> None:
        """Make a move that is not part of a settlement."""
        self._transact(run, lambda: move)

    def _settle(self, run: Run, name: str, value: Any, error: Exception | None) -> None:
        self._at_work = False
        if run is not self.run or run.step != name:
            return
        step = TABLE[name]

        def decide() -> Move:
            if error is None:
                return step.settle(self._context, run, value)
            return step.failed(self._context, run, as_error(error, name))

        if error is not None:
            tell_failure(run, name, error)
        else:
            self._hook("leaving", name)
        self._transact(run, decide, failing=error is not None)

    def _transact(self, run: Run, decide: Callable[[], Move], *, failing: bool = False) -> None:
        """Settle one step and write down the next in one transaction; then do the next one's work.

        A ledger that cannot be written holds the run where it is: nothing may happen that is not written down.
        Anything else that a settlement raises is that step's failure. ``failing``: it is one already.
        """
        before = (run.step, dict(run.data))
        try:
            with self._context.ledger.transaction():
                move = decide()
                self._write_down(run, move)
        except LedgerError as error:
            run.step, run.data = before
            self.problem = error
            log.error(Event.LEDGER_FAILED, cycle=run.name, error=error.message, remedy=error.remedy)
            self._timers.after("step", LEDGER_RETRY_SECONDS, lambda: self._transact(run, decide, failing=failing))
            return
        except Exception as error:
            run.step, run.data = before
            if failing:
                raise
            tell_failure(run, run.step, error)
            step, failed = TABLE[run.step], as_error(error, run.step)
            self._transact(run, lambda: step.failed(self._context, run, failed), failing=True)
            return
        self.problem = None
        self._after(run, move)

    def _write_down(self, run: Run, move: Move) -> None:
        now = self._context.now()
        if move.step is None:
            log_of(self._context.ledger, run).finish(run, now)
        elif move.wait:
            log_of(self._context.ledger, run).enter(run, now)
        elif not move.after:
            self._enter(run, move.step, now)

    def _enter(self, run: Run, name: str, now: datetime) -> None:
        self._hook("entering", name)
        run.step = name
        run.data.update(TABLE[name].note(self._context, run))
        log_of(self._context.ledger, run).enter(run, now)

    def _after(self, run: Run, move: Move) -> None:
        if move.step is None:
            self._end(run)
        elif move.wait:
            log.info(Event.CYCLE_STOPPED, cycle=run.name, stage=run.step, reason=run.waiting, resumes_left=run.data["resumes_left"])
            self._finished(run)
        elif move.after:
            step = move.step
            self._timers.after("step", move.after, lambda: self._go(run, Move(step)))
            self._changed(run)
        else:
            self._work(run, move.step)

    def _work(self, run: Run, name: str) -> None:
        if self._halted:
            return
        log.info(Event.CYCLE_STEP, cycle=run.name, stage=name)
        if run.number is not None and name not in CHILD_STEPS:
            run.progress = Progress(name.lower(), 100.0)
        self._changed(run)
        try:
            if name in CHILD_STEPS:
                self._hook("working", name)
            task = TABLE[name].prepare(self._context, run)
        except Exception as error:  # noqa: BLE001  (whatever keeps a step from beginning is that step's failure)
            self._settle(run, name, None, error)
            return
        if task is None:
            limit = self._context.loaded.config.training.max_hours * 3600
            self._timers.after("child-limit", limit, lambda: self.stop_child(steps_child.TIME_LIMIT))
            log.info(Event.CHILD_STARTED, cycle=run.name, pid=run.child.pid if run.child else None)
            return
        work = task

        def task_with_hook() -> object:
            self._hook("working", name)
            return work()

        self._at_work = True
        self._submit(task_with_hook, lambda value, error: self._settle(run, name, value, error))

    def _end(self, run: Run) -> None:
        self.run = None
        tell_end(run, self._context.now())
        self._finished(run)
