"""The resident: one loop that takes from one queue, and everything that puts into it.

Owns signals, the watcher, the alarm clock and the control socket. Every wait has a
deadline; nothing polls. What the daemon does with an event is the engine's.
"""

from __future__ import annotations

import os
import queue
import signal
import sys
from collections import deque
from collections.abc import Callable
from pathlib import Path

from sleepd import __version__, journal
from sleepd.config import Loaded, load
from sleepd.control.server import Pending, Server
from sleepd.daemon import circadian, status
from sleepd.daemon.changes import Changes
from sleepd.daemon.commands import ONLY_LOOK, Commands
from sleepd.daemon.context import Run
from sleepd.daemon.engine import Engine
from sleepd.daemon.events import (
    AlarmRang,
    BufferTouched,
    ChildExited,
    ChildFailed,
    ChildProgress,
    RequestArrived,
    SignalArrived,
    WorkDone,
)
from sleepd.daemon.events import Event as LoopEvent
from sleepd.daemon.health import Heartbeats, Watchdog
from sleepd.daemon.inference import LOOK_SECONDS
from sleepd.daemon.lock import StateLock
from sleepd.daemon.ports import Ports
from sleepd.daemon.reloading import Reloading
from sleepd.daemon.scheduler import AlarmClock
from sleepd.errors import LedgerError, SleepdError
from sleepd.experience.watcher import Watcher
from sleepd.journal import Event, logger
from sleepd.notify import Notifier

log = logger(__name__)

DECIDE_SECONDS = 60.0
LONGEST_WAIT_SECONDS = 30.0
WORKER_PATIENCE_SECONDS = 3600.0
STOP_MARGIN_SECONDS = 15.0
STATUS_SECONDS = 1.0
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)


def run(loaded: Loaded, reload_config: Callable[[], Loaded] | None = None, ports: Ports | None = None) -> int:
    """Be the daemon until a signal ends it. ``reload_config``: how to read the configuration again.

    Raises SleepdError when it cannot start: another daemon holds the state directory, the ledger is damaged, ...
    """
    journal.configure(loaded.config.log.format, loaded.config.log.level, os.environ, sys.stderr)
    chosen = ports or Ports(environment=dict(os.environ))
    with StateLock(loaded.directories.state, "sleepd run"):
        return Service(loaded, reload_config or (lambda: load(None, loaded.instance, os.environ)), chosen).run()


class Service:
    """One daemon."""

    def __init__(self, loaded: Loaded, reload_config: Callable[[], Loaded], ports: Ports) -> None:
        self._queue: queue.SimpleQueue[LoopEvent] = queue.SimpleQueue()
        self._later: deque[LoopEvent] = deque()
        self._ports = ports
        self._notify = Notifier(ports.environment)
        self._stopping = False
        self._changes = Changes()
        self._beats = Heartbeats(ports.monotonic)
        self._engine = Engine(loaded, self._queue.put, ports, self._run_changed, self._run_finished, self._while_reading)
        self._watchdog = Watchdog(self._beats, self._notify, self._engine.timers, ports)
        self._reloading = Reloading(self._engine, reload_config, self._notify, ports.environment, self._taken)
        self._commands = Commands(self._engine, self._reloading.reload, lambda: self._reloading.generation)
        self._server = Server(
            loaded.socket,
            lambda pending: self._queue.put(RequestArrived(pending)),
            loaded.config.control.max_request_bytes,
            self._beats.expect("control", LONGEST_WAIT_SECONDS * 2),
        )
        self._alarm = AlarmClock(lambda reason: self._queue.put(AlarmRang(reason)), DECIDE_SECONDS)
        self._alarm_beat = self._beats.expect("alarm", DECIDE_SECONDS * 3)
        self._beats.probe("worker", lambda: self._engine.worker.alive and self._engine.worker.busy_seconds() < WORKER_PATIENCE_SECONDS)
        self._watcher: Watcher | None = None

    # -- life -------------------------------------------------------------------------------------------------

    def run(self) -> int:
        timers = self._engine.timers
        log.info(Event.DAEMON_STARTED, version=__version__, pid=os.getpid(), state=str(self._engine.loaded.directories.state))
        for number in _SIGNALS:
            signal.signal(number, self._signalled)
        try:
            self._server.start()
            self._notify.extend_timeout(int((self._engine.loaded.config.training.grace_seconds + STOP_MARGIN_SECONDS) * 1e6))
            self._engine.start(lambda: self._decide_later(0.0))
            self._watch()
            self._alarm.start()
            timers.after("buffers", 0.0, self._look_at_buffers)
            timers.after("inference", 0.0, self._look_at_inference)
            self._decide_later(0.0)
            self._watchdog.feed()
            self._notify.ready(status.status_line(self._engine))
            log.info(
                Event.DAEMON_READY, socket=str(self._engine.loaded.socket), buffers=[str(path) for path in self._engine.loaded.buffers]
            )
            while not self._stopping:
                self._turn(LONGEST_WAIT_SECONDS)
            self._stop()
        except SleepdError:
            raise
        except Exception:  # not swallowed: a defect is logged whole and ends the process; started again, it goes on from the ledger
            log.exception(Event.DAEMON_FAILED)
            return 1
        finally:
            self._close()
        log.info(Event.DAEMON_STOPPED)
        return 0

    def _turn(self, longest: float) -> None:
        """Wait for one event, no longer than until the next timer; handle it, then what is due."""
        try:
            event = self._later.popleft() if self._later else self._queue.get(timeout=self._engine.timers.wait_seconds(longest))
        except queue.Empty:
            pass
        else:
            self._guard(lambda: self._handle(event))
        self._guard(self._engine.timers.run_due)

    def _guard(self, action: Callable[[], None]) -> None:
        """A ledger that cannot be written (a full disk) must not end the daemon: what failed comes again."""
        try:
            action()
        except LedgerError as error:
            self._engine.problems.ledger = error
            log.error(Event.LEDGER_FAILED, error=error.message, remedy=error.remedy)

    def _handle(self, event: LoopEvent) -> None:
        match event:
            case SignalArrived(number):
                self._on_signal(number)
            case BufferTouched():
                self._look_at_buffers()
            case AlarmRang(reason):
                self._alarm_beat()
                self._on_alarm(reason)
            case RequestArrived(pending):
                self._on_request(pending)
            case ChildProgress():
                self._engine.driver.on_progress(event)
            case ChildFailed():
                self._engine.driver.on_failed(event)
            case ChildExited():
                self._engine.driver.on_exited(event)
            case WorkDone(settle, value, error):
                settle(value, error)

    def _signalled(self, number: int, _frame: object) -> None:
        self._queue.put(SignalArrived(number))  # SimpleQueue.put is reentrant: safe wherever the signal came

    def _on_signal(self, number: int) -> None:
        if number in (signal.SIGTERM, signal.SIGINT):
            if self._stopping:
                self._kill_child()  # the second one means it
            self._stopping = True
        elif number == signal.SIGHUP:
            try:
                self._reloading.reload()
            except SleepdError:
                return  # logged where it was refused; nobody waits for an answer
        else:
            self._decide()

    def _on_request(self, pending: Pending) -> None:
        self._commands.handle(pending)
        if pending.request.command in ("resume", "reload", "veto", "forget"):
            self._decide_later(0.0)

    def _on_alarm(self, reason: str) -> None:
        self._look_at_buffers()
        self._engine.model.look(then=self._decide)

    # -- buffers, decisions, inference ------------------------------------------------------------------------

    def _look_at_buffers(self) -> None:
        section = self._engine.loaded.config.experience
        if self._engine.look_at_buffers():
            self._decide_later(0.0)
        self._engine.wake()
        wait = self._engine.buffers.wait_seconds()
        self._engine.timers.after(
            "buffers", section.poll_seconds if wait is None else min(wait, section.poll_seconds), self._look_at_buffers
        )

    def _decide_later(self, seconds: float) -> None:
        self._engine.timers.after("decide", seconds, self._decide)

    def _decide(self) -> None:
        if self._stopping:
            return
        phase = circadian.phase_at(self._ports.now(), self._engine.clock)
        self._changes.phase(phase)
        self._alarm.wake_at(phase.next_change)
        self._engine.wake()
        decision = self._engine.sleep_if_due()
        self._changes.decision(decision, phase)
        if not decision.should_run:
            soon = self._engine.seconds_until_change()
            if soon is not None and soon < DECIDE_SECONDS:
                self._decide_later(soon + 0.05)
        self._say_status()

    def _look_at_inference(self) -> None:
        if not self._engine.driver.busy:
            self._engine.inference.look()
        self._engine.timers.after("inference", LOOK_SECONDS, self._look_at_inference)

    def _run_changed(self, run: Run) -> None:
        self._commands.run_changed(run)
        if not self._engine.timers.pending("status"):
            self._engine.timers.after("status", STATUS_SECONDS, self._say_status)

    def _run_finished(self, run: Run) -> None:
        self._commands.run_finished(run)
        self._decide_later(0.0)

    def _say_status(self) -> None:
        self._notify.status(status.status_line(self._engine))

    def _while_reading(self) -> None:
        """Called after every batch while a large buffer is read: the loop is busy, not stuck, and who only asks is answered.

        Whatever could change something waits until the buffer has been read, in its order.
        """
        self._watchdog.feed_if_due()
        for _ in range(self._queue.qsize()):
            event = self._queue.get()
            if isinstance(event, RequestArrived) and event.pending.request.command in ONLY_LOOK:
                self._commands.handle(event.pending)
                continue
            if isinstance(event, AlarmRang):
                self._alarm_beat()
            self._later.append(event)

    # -- configuration ----------------------------------------------------------------------------------------

    def _taken(self, old: Loaded, new: Loaded) -> None:
        if new.buffers != old.buffers:
            self._watch()
        self._engine.timers.after("inference", 0.0, self._look_at_inference)
        self._look_at_buffers()

    def _watch(self) -> None:
        """Watch the buffers of the present configuration. Without inotify the periodic look does it all."""
        if self._watcher is not None:
            self._watcher.stop()
        self._watcher = Watcher(self._engine.loaded.buffers, self._touched)
        self._watcher.start()

    def _touched(self, path: Path) -> None:
        self._queue.put(BufferTouched(path))

    # -- the end ----------------------------------------------------------------------------------------------

    def _stop(self) -> None:
        """Ask the child for its checkpoint and wait for it; let the step under way end. The next start goes on from there."""
        self._notify.stopping()
        log.info(Event.DAEMON_STOPPING)
        engine = self._engine
        grace = engine.loaded.config.training.grace_seconds
        engine.driver.halt()
        if engine.child_is_running():
            self._notify.extend_timeout(int((grace + STOP_MARGIN_SECONDS) * 1e6))
            engine.driver.stop_child("sleepd stops")
        end = self._ports.monotonic() + grace + STOP_MARGIN_SECONDS
        while engine.driver.working and self._ports.monotonic() < end:
            self._turn(min(1.0, max(0.0, end - self._ports.monotonic())))

    def _kill_child(self) -> None:
        run_now = self._engine.driver.run
        if run_now is not None and run_now.child is not None:
            run_now.child.kill()

    def _close(self) -> None:
        if self._watcher is not None:
            self._watcher.stop()
        self._alarm.stop()
        self._kill_child()
        self._commands.stop()
        self._server.stop()
        self._engine.close()
        self._notify.close()
