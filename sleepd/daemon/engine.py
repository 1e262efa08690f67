"""The daemon without its loop: ledger, store, buffers, decisions, and the one run at a time.

Shared by the resident and by a foreground cycle. It reacts to events and timers and never waits; whoever owns
it takes events from the queue and hands them in.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sleepd.adapter import reload
from sleepd.adapter.store import AdapterStore, cycle_id
from sleepd.config import Loaded
from sleepd.daemon import circadian, jobs
from sleepd.daemon.buffers import Buffers
from sleepd.daemon.context import Context, Run
from sleepd.daemon.cycle import CycleDriver
from sleepd.daemon.debt import Debt
from sleepd.daemon.decide import Snapshot, decide, seconds_until_change
from sleepd.daemon.events import Event as LoopEvent
from sleepd.daemon.exports import export
from sleepd.daemon.forgetting import Forgetting
from sleepd.daemon.inference import InferenceWatch
from sleepd.daemon.intake import Intake
from sleepd.daemon.model import ModelWatch
from sleepd.daemon.outlook import Outlook, thresholds
from sleepd.daemon.pace import Pace
from sleepd.daemon.ports import Ports
from sleepd.daemon.problems import Problems
from sleepd.daemon.requests import Requests
from sleepd.daemon.steps import CHILD_STEPS
from sleepd.daemon.supervisor import Supervisor
from sleepd.daemon.timers import Timers
from sleepd.daemon.worker import Worker
from sleepd.errors import SleepdError, StoreError
from sleepd.journal import Event, logger
from sleepd.ledger import CycleRow, Ledger
from sleepd.ledger.exports import RebuildReport, rebuild
from sleepd.records import CycleKind, Decision

log = logger(__name__)

LEDGER_FILE = "ledger.db"


class Engine:
    """Everything but the loop.

    ``put`` is the queue's: it is called from other threads and only enqueues. ``between`` is called now and then
    while a large buffer is read, which is the only long work in the loop's own thread.
    """

    def __init__(
        self,
        loaded: Loaded,
        put: Callable[[LoopEvent], None],
        ports: Ports,
        changed: Callable[[Run], None] = lambda run: None,
        finished: Callable[[Run], None] = lambda run: None,
        between: Callable[[], None] = lambda: None,
    ) -> None:
        state = loaded.directories.state
        for directory in (state, loaded.directories.cache):
            _make(directory)
        self.ports = ports
        self.clock = _clock(loaded)
        reloader = reload.make(loaded.config.inference, ports.environment)
        self.ledger = Ledger.open(state / LEDGER_FILE)
        _log_rebuilt(rebuild(self.ledger, state))
        self.worker = Worker(put, ports.monotonic)
        self.timers = Timers(ports.monotonic)
        supervisor = Supervisor(put, _log_child, ports.trainer_argv)
        store = AdapterStore(state / "adapters")
        self.context = Context(self.ledger, store, supervisor, loaded, reloader, ports.now, ports.monotonic, ports.wait)
        self.buffers = Buffers(loaded.buffers, loaded.config.experience.quiet_seconds, ports.monotonic, ports.wall)
        self._between = between
        self.intake = Intake(self.ledger, loaded, between)
        self.driver = CycleDriver(self.context, self.worker.submit, self.timers, changed, self._run_finished, ports.hook)
        self._outlook = Outlook(self.ledger, ports.monotonic, state, ports.sys, ports.proc)
        self.inference = InferenceWatch(self.context, self.worker.submit)
        self.forgetting = Forgetting(self.context, self.worker.submit, self.timers)
        self.requests = Requests(self.context, self.driver, self.forgetting)
        self.model = ModelWatch(self.context, self.worker.submit)
        self.problems = Problems(self.context, self.driver, self.model, self.buffers, self.inference)
        self._finished = finished

    @property
    def loaded(self) -> Loaded:
        return self.context.loaded

    # -- start and stop ---------------------------------------------------------------------------------------

    def start(self, model_known: Callable[[], None] = lambda: None) -> None:
        """Clear up after the last process and go on with what it left. Call once, before the first event.

        ``model_known`` is called when the base model has been identified.
        """
        self.worker.start()
        self.context.store.clean_staging()
        current = self.ledger.cycles.current()
        jobs.clean(self.context.jobs, keep=None if current is None else Path(current.job_dir).name)
        export(self.ledger, self.loaded.directories.state)
        self.driver.recover()
        self.forgetting.clear()
        self.model.look(model_known)
        self._look_at_active()

    def close(self) -> None:
        self.worker.stop()
        self.ledger.close()

    def reconfigure(self, loaded: Loaded) -> None:
        """Take a new configuration whole; raises before anything changed when a part of it cannot be used."""
        clock = _clock(loaded)
        reloader = reload.make(loaded.config.inference, self.ports.environment)
        intake = Intake(self.ledger, loaded, self._between)
        old_model = self.loaded.model
        self.clock, self.intake = clock, intake
        self.context.loaded, self.context.reloader = loaded, reloader
        self.buffers.configure(loaded.buffers, loaded.config.experience.quiet_seconds)
        self.inference.forget()
        if loaded.model != old_model:
            self.model.forget()
        self.model.look()

    # -- buffers ----------------------------------------------------------------------------------------------

    def look_at_buffers(self, *, at_once: bool = False) -> bool:
        """Look at every buffer and read what is ready (``at_once``: whatever changed); True when something was read."""
        self.buffers.look()
        ready = self.buffers.changed() if at_once else self.buffers.ready()
        for path in ready:
            self.buffers.was_read(path, self.intake.read(path, self.ports.now()))
        self.problems.tell_of_buffers()
        return bool(ready)

    def _look_at_active(self) -> None:
        """Hash the adapter in service once, in the worker: a disk may have damaged it while nobody looked."""
        active = self.active_id()
        if active is None:
            return

        def settle(value: object, error: Exception | None) -> None:
            if isinstance(error, SleepdError):
                self.problems.damage = error
                log.error(Event.ADAPTER_DAMAGED, adapter=active, error=error.message, remedy=error.remedy)

        self.worker.submit(lambda: self.context.store.integrity(active), settle)

    # -- deciding ---------------------------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        run = self.driver.run
        return self._outlook.snapshot(
            self.ports.now(),
            self.clock,
            self.loaded.config,
            active=self.active_id(),
            running=f"{run.name} ({run.step})" if run is not None and self.driver.busy else None,
            quiet_minutes=self.buffers.quiet_minutes(),
            model_problem=self.model.problem(),
            tail_problem=self.intake.tail_problem(),
        )

    def decide(self, *, force: bool = False, kind: CycleKind | None = None) -> Decision:
        return decide(self.snapshot(), thresholds(self.loaded.config), force=force, kind=kind)

    def debt(self) -> Debt:
        """How much experience waits for a night, and since when."""
        return self._outlook.debt.look(self.ports.now(), self.clock)

    def pace(self) -> Pace:
        """How the last nights change the schedule's numbers."""
        return self._outlook.pace(self.loaded.config)

    def seconds_until_change(self) -> float | None:
        """When time alone will change the decision."""
        return seconds_until_change(self.snapshot(), thresholds(self.loaded.config))

    # -- acting -----------------------------------------------------------------------------------------------

    def active_id(self) -> str | None:
        """What the link says; None for the base model alone, and for a link that is broken (``errors`` tells)."""
        try:
            return self.context.store.active()
        except StoreError:
            return None

    def link_is_broken(self) -> bool:
        try:
            self.context.store.active()
        except StoreError:
            return True
        return False

    def sleep(self, kind: CycleKind, by: str, *, forced: bool) -> Run:
        """Start a cycle, or go on with the one that waits at its checkpoint. Raises SleepdError; nothing has begun then."""
        self.driver.check_free()
        if self.driver.run is not None:
            self.driver.run.data["forced"] = forced
            self.driver.resume()
            return self.driver.run
        base = self.model.usable()
        number = self.context.store.next_number(self.ledger.cycles.highest())
        active = self.context.store.active()
        config = self.loaded.config
        order = jobs.JobOrder(
            cycle=number,
            kind=kind,
            created=self.ports.now(),
            base=base,
            living_adapter=None if active is None else self.context.store.path(active).resolve(),
            cache_dir=self.loaded.directories.cache,
            training=config.training.model_dump(mode="json"),
            gate=config.gate.model_dump(mode="json"),
            min_salience=config.experience.min_salience,
        )
        job_dir = jobs.write(self.context.jobs, order, self.ledger)
        now = self.ports.now()
        self.ledger.cycles.begin(number, kind, str(job_dir), now, by)
        run = Run(number, kind, job_dir, by, now, "", {"forced": forced})
        log.info(Event.CYCLE_STARTED, cycle=run.name, kind=kind, by=by, forced=forced, new=self.ledger.experiences.totals().new)
        self.driver.begin(run, "CURATE")
        return run

    def sleep_if_due(self) -> Decision:
        """Decide, write the decision down, and act on it."""
        decision = self.decide()
        self.ledger.decisions.record(decision, self.ports.now())
        self._outlook.debt.warn(self.ports.now(), self.clock, self.loaded.config.schedule.alert_days, self.problems.lines)
        self.problems.ledger = None
        if not decision.should_run:
            return decision
        try:
            self.sleep(decision.kind, "schedule", forced=False)
            self.problems.start = None
        except SleepdError as error:
            if self.problems.start is None or self.problems.start.message != error.message:
                log.error(Event.CYCLE_ABANDONED, error=error.message, remedy=error.remedy)
            self.problems.start = error
        return decision

    def wake(self) -> None:
        """Stop a child that the schedule started when the night is over for it."""
        run = self.driver.run
        if run is None or run.child is None or run.data.get("forced"):
            return
        if circadian.phase_at(self.ports.now(), self.clock).phase == "DAY":
            self.driver.stop_child("the night is over")
        elif self.loaded.config.schedule.idle_minutes > 0 and self.buffers.touched_since(run.child_since):
            self.driver.stop_child("the buffer woke up")
        else:
            for check in self._outlook.conditions(self.loaded.config):
                if not check.ok and check.name in ("power", "temperature"):  # the others fail because of the child itself
                    self.driver.stop_child(check.detail)

    def _run_finished(self, run: Run) -> None:
        if run.waiting is None:
            export(self.ledger, self.loaded.directories.state)
            self.problems.damage = None
        self.requests.run_finished(run)
        self._finished(run)
        self.inference.look()
        if self.driver.run is None:
            self.forgetting.clear(settled_only=True)
        self.requests.go_on()

    def last_cycle(self) -> CycleRow | None:
        return self.ledger.cycles.last_finished()

    def child_is_running(self) -> bool:
        run = self.driver.run
        return run is not None and run.child is not None and run.step in CHILD_STEPS


def _clock(loaded: Loaded) -> circadian.Clock:
    schedule = loaded.config.schedule
    return circadian.make_clock(schedule.day, schedule.night, schedule.deep_night, schedule.timezone, schedule.latitude, schedule.longitude)


def _log_child(cycle: int, line: str) -> None:
    log.info(Event.CHILD_OUTPUT, cycle=cycle_id(cycle), line=line)


def _log_rebuilt(report: RebuildReport) -> None:
    if report.cycles or report.forgets or report.problems:
        log.warning(Event.LEDGER_REBUILT, cycles=report.cycles, forgets=report.forgets, problems=list(report.problems))


def _make(directory: Path) -> None:
    try:
        directory.mkdir(mode=0o750, parents=True, exist_ok=True)
    except OSError as error:
        raise SleepdError(
            f"cannot create {directory}: {error.strerror}", "create it and give this user write access, or set [directories]"
        ) from error
