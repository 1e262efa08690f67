"""Tells the daemon how far the night is, and lets a SIGTERM stop it at a safe point."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TextIO

STAGES = ("curate", "dataset", "train", "evaluate")
_SHARES = {"curate": 0.08, "dataset": 0.17, "train": 0.55, "evaluate": 0.20}  # of a night's time, roughly


class StopRequested(Exception):
    """SIGTERM arrived; raised only at safe points."""


class Reporter:
    """Writes one JSON line a step to ``out`` (the pipe to the daemon) and keeps each stage's seconds."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._stage = STAGES[0]
        self._started = time.monotonic()
        self._last = 0.0
        self.stopping = False
        self.timings: dict[str, float] = {}

    def catch_sigterm(self) -> None:
        signal.signal(signal.SIGTERM, self._stop)

    def _stop(self, _signal: int, _frame: FrameType | None) -> None:
        self.stopping = True

    def checkpoint(self) -> None:
        """A safe point: raises StopRequested when the daemon asked for a stop."""
        if self.stopping:
            raise StopRequested

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        self._stage = name
        started = time.monotonic()
        self.step(0, 1, force=True)
        try:
            yield
        finally:
            self.timings[name] = self.timings.get(name, 0.0) + time.monotonic() - started

    def step(self, step: int, steps: int, loss: float | None = None, message: str = "", *, force: bool = False) -> None:
        """Report progress inside the stage; at most five lines a second unless ``force``."""
        now = time.monotonic()
        if not force and now - self._last < 0.2 and step < steps:
            return
        self._last = now
        before = sum(_SHARES[name] for name in STAGES[: STAGES.index(self._stage)])
        done = before + _SHARES[self._stage] * (step / steps if steps else 1.0)
        elapsed = now - self._started
        line: dict[str, object] = {"stage": self._stage, "percent": round(100 * done, 1), "step": step, "steps": steps}
        if loss is not None:
            line["loss"] = round(loss, 4)
        line["eta_s"] = round(elapsed / done * (1 - done), 1) if done > 0.05 else None
        if message:
            line["message"] = message
        self._write(line)

    def failed(self, message: str, remedy: str) -> None:
        self._write({"stage": "error", "message": message, "remedy": remedy})

    def _write(self, line: dict[str, object]) -> None:
        print(json.dumps(line), file=self._out, flush=True)
