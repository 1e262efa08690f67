"""One cycle in the foreground, for ``sleepd sleep`` where no daemon runs: the same engine, the same step table."""

from __future__ import annotations

import contextlib
import os
import queue
from collections.abc import Callable
from typing import Any

from sleepd.config import Loaded
from sleepd.daemon import forget_plan, forgetting
from sleepd.daemon.context import Run
from sleepd.daemon.engine import Engine
from sleepd.daemon.events import ChildExited, ChildFailed, ChildProgress, SignalArrived, WorkDone
from sleepd.daemon.events import Event as LoopEvent
from sleepd.daemon.lock import StateLock
from sleepd.daemon.ports import Ports
from sleepd.errors import SkippedError, SleepdError
from sleepd.ledger import CycleRow
from sleepd.records import CycleKind, Progress

LONGEST_WAIT_SECONDS = 30.0


def run_cycle(
    loaded: Loaded,
    force: bool = False,
    kind: CycleKind | None = None,
    dry_run: bool = False,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    by: str = "foreground",
    ports: Ports | None = None,
) -> CycleRow | None:
    """Run one cycle to its end and return its row; None for a dry run that would have run.

    Raises SkippedError when it is not time (``force`` skips the schedule), SleepdError when the state directory is
    in use or the cycle cannot start. Ctrl-C stops the child at a checkpoint, and the cycle waits for the next call.
    """
    events: queue.SimpleQueue[LoopEvent] = queue.SimpleQueue()

    def changed(run: Run) -> None:
        if run.progress is not None:
            on_progress(run.progress)

    with StateLock(loaded.directories.state, "sleepd sleep"):
        engine = Engine(loaded, events.put, ports or Ports(environment=dict(os.environ)), changed)
        try:
            return _run(engine, events, force, kind, dry_run, by)
        finally:
            engine.close()


def _run(
    engine: Engine, events: queue.SimpleQueue[LoopEvent], force: bool, kind: CycleKind | None, dry_run: bool, by: str
) -> CycleRow | None:
    if dry_run:
        engine.worker.start()
        engine.model.look()
    else:
        engine.start()
    _until(engine, events, lambda: engine.model.known and not engine.driver.busy)
    engine.look_at_buffers(at_once=True)
    decision = engine.decide(force=force, kind=kind)
    if not decision.should_run:
        raise SkippedError(decision.reason, "see `sleepd check`" + ("" if force else "; --force skips the schedule"))
    if dry_run:
        return None
    run = engine.sleep(decision.kind, by, forced=force)
    try:
        _until(engine, events, lambda: not engine.driver.busy)
    except KeyboardInterrupt:
        engine.driver.stop_child(f"{by} stopped it")
        _until(engine, events, lambda: not engine.driver.busy)
    if engine.driver.problem is not None:
        raise engine.driver.problem
    _until(engine, events, lambda: not engine.forgetting.busy)
    assert run.number is not None
    return engine.ledger.cycles.get(run.number)


def forget(
    loaded: Loaded, query: str, confirm: Callable[[dict[str, Any]], bool], by: str = "foreground", ports: Ports | None = None
) -> dict[str, Any] | None:
    """Forget what ``query`` means, once ``confirm`` has seen the plan; None when it says no. See ``Requests.forget``.

    Raises SleepdError when the state directory is in use, NotFoundError when nothing matches.
    """
    events: queue.SimpleQueue[LoopEvent] = queue.SimpleQueue()
    with StateLock(loaded.directories.state, "sleepd forget"):
        engine = Engine(loaded, events.put, ports or Ports(environment=dict(os.environ)))
        try:
            engine.start()
            engine.look_at_buffers(at_once=True)
            plan = forget_plan.find(engine.ledger, engine.context.store, query)
            if not confirm(forget_plan.document(engine.ledger, plan)):
                return None
            numbers: list[int] = []
            failures: list[SleepdError] = []
            engine.requests.forget(plan, by, numbers.append, failures.append)
            _until(engine, events, lambda: bool(numbers or failures))
            if failures:
                raise failures[0]
            return forgetting.outcome(engine.ledger, numbers[0])
        finally:
            engine.close()


def _until(engine: Engine, events: queue.SimpleQueue[LoopEvent], done: Callable[[], bool]) -> None:
    while not done():
        with contextlib.suppress(queue.Empty):
            _handle(engine, events.get(timeout=engine.timers.wait_seconds(LONGEST_WAIT_SECONDS)))
        engine.timers.run_due()
        run = engine.driver.run
        if engine.driver.problem is not None or (run is not None and "rollback_error" in run.data):
            problem = engine.driver.problem
            raise problem or SleepdError(
                f"{run.name if run else 'the cycle'} cannot be rolled back: {run.data['rollback_error'] if run else ''}",
                "the next start of sleepd rolls it back",
            )


def _handle(engine: Engine, event: LoopEvent) -> None:
    match event:
        case ChildProgress():
            engine.driver.on_progress(event)
        case ChildFailed():
            engine.driver.on_failed(event)
        case ChildExited():
            engine.driver.on_exited(event)
        case WorkDone(settle, value, error):
            settle(value, error)
        case SignalArrived():
            engine.driver.stop_child("a signal arrived")
