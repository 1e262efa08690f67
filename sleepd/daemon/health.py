"""Whether every component of the daemon is alive: the watchdog is fed only while all heartbeats are fresh."""

from __future__ import annotations

import threading
from collections.abc import Callable


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
