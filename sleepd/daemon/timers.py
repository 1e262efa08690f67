"""Named deadlines on the monotonic clock, for a loop that waits on one queue. Starts no thread."""

from __future__ import annotations

from collections.abc import Callable


class Timers:
    """At most one deadline a name; setting a name again moves it."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._due: dict[str, tuple[float, Callable[[], None]]] = {}

    def after(self, name: str, seconds: float, action: Callable[[], None]) -> None:
        self._due[name] = (self._monotonic() + seconds, action)

    def cancel(self, name: str) -> None:
        self._due.pop(name, None)

    def pending(self, name: str) -> bool:
        return name in self._due

    def wait_seconds(self, longest: float) -> float:
        """How long the loop may wait before something is due."""
        now = self._monotonic()
        return max(0.0, min([longest, *(when - now for when, _ in self._due.values())]))

    def run_due(self) -> None:
        """Run what is due, each once, oldest deadline first. An action may set timers again."""
        now = self._monotonic()
        for name, (when, action) in sorted(self._due.items(), key=lambda item: item[1][0]):
            if when <= now and self._due.get(name) == (when, action):
                del self._due[name]
                action()
