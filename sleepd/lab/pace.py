"""How far a long run is, and how long it will take at the pace so far."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass
class Pace:
    """Counts nights. ``left``: nights still to come, over all seeds and recipes. ``clock`` gives seconds."""

    left: int
    clock: Callable[[], float] = time.monotonic
    done: int = 0
    spent: float = 0.0
    _since: float | None = None

    def start(self) -> None:
        self._since = self.clock()

    def finish(self) -> str:
        """One night is over; says how long the rest will take."""
        if self._since is not None:
            self.spent += self.clock() - self._since
        self._since = None
        self.done += 1
        self.left -= 1
        return f"{spoken(self.spent / self.done * self.left)} to go" if self.left else "the last one"


def spoken(seconds: float) -> str:
    """A duration as people say it: ``40 s``, ``12 min``, ``3 h 05 min``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"
