"""Whether every component of the daemon is alive: the watchdog is fed only while all heartbeats are fresh."""

from __future__ import annotations

import threading
from collections.abc import Callable

from sleepd.daemon.ports import Ports
from sleepd.daemon.timers import Timers
from sleepd.journal import Event, logger
from sleepd.notify import Notifier, watchdog_interval

log = logger(__name__)


class Heartbeats:
    """Components beat by name, from any thread; one is stale when it has not for its own number of seconds."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._beats: dict[str, tuple[float, float]] = {}
        self._probes: dict[str, Callable[[], bool]] = {}

    def expect(self, name: str, every_seconds: float) -> Callable[[], None]:
        """Expect a beat at least so often; returns the function to beat with."""

        def beat() -> None:
            with self._lock:
                self._beats[name] = (self._monotonic(), every_seconds)

        beat()
        return beat

    def probe(self, name: str, alive: Callable[[], bool]) -> None:
        """Ask a component each time instead of waiting for its beat."""
        self._probes[name] = alive

    def stale(self) -> list[str]:
        """The components that do not live, by name."""
        now = self._monotonic()
        with self._lock:
            late = [name for name, (at, every) in self._beats.items() if now - at > every]
        return sorted(late + [name for name, alive in self._probes.items() if not alive()])


class Watchdog:
    """systemd's, fed from the loop's own thread. Where systemd asks for none, nothing is fed."""

    def __init__(self, beats: Heartbeats, notify: Notifier, timers: Timers, ports: Ports) -> None:
        self._beats, self._notify, self._timers, self._monotonic = beats, notify, timers, ports.monotonic
        self._every_seconds = watchdog_interval(ports.environment)
        self._fed_at = ports.monotonic()

    def feed(self) -> None:
        """Feed it now if everything lives, and again when it is time."""
        if self._every_seconds is None:
            return
        stale = self._beats.stale()
        if stale:
            log.error(Event.COMPONENT_STALE, components=stale)
        else:
            self._notify.watchdog()
        self._fed_at = self._monotonic()
        self._timers.after("watchdog", self._every_seconds, self.feed)

    def feed_if_due(self) -> None:
        """For long work in the loop, during which no timer runs."""
        if self._every_seconds is not None and self._monotonic() - self._fed_at >= self._every_seconds:
            self.feed()
