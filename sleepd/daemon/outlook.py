"""Collects what a decision depends on: phase, counts, times, conditions, history. Decides nothing and changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from sleepd.config import Config
from sleepd.daemon import circadian, conditions
from sleepd.daemon.circadian import Clock
from sleepd.daemon.decide import History, Snapshot, Thresholds
from sleepd.errors import SleepdError
from sleepd.ledger import Ledger
from sleepd.records import Check

_HISTORY = 50


def thresholds(config: Config) -> Thresholds:
    """The schedule with its preset applied."""
    resolved = config.schedule.resolved()
    return Thresholds(
        resolved.min_experiences,
        resolved.min_new_experiences,
        resolved.min_hours_between_sleep,
        config.schedule.idle_minutes,
        config.schedule.deep_every,
        config.gate.max_kl,
    )


class Outlook:
    """Remembers between two looks only what hysteresis, a clock that jumps and a long history make necessary."""

    def __init__(self, ledger: Ledger, monotonic: Callable[[], float], disk: Path, sys: Path, proc: Path) -> None:
        self._ledger = ledger
        self._monotonic = monotonic
        self._disk, self._sys, self._proc = disk, sys, proc
        self._failing: frozenset[str] = frozenset()
        self._last_finish: tuple[int, float] | None = None
        self._history: tuple[tuple[int, str | None], History] | None = None

    def snapshot(
        self,
        now: datetime,
        clock: Clock,
        config: Config,
        *,
        active: str | None,
        running: str | None,
        quiet_minutes: float | None,
        model_problem: SleepdError | None,
        tail_problem: str | None,
    ) -> Snapshot:
        paused = self._ledger.values.get("paused")
        return Snapshot(
            phase=circadian.phase_at(now, clock).phase,
            totals=self._ledger.experiences.totals(),
            hours_since_last=self._hours_since_last(now),
            quiet_minutes=quiet_minutes,
            conditions=self.conditions(config),
            running=running,
            paused_by=str(paused.get("by", "somebody")) if isinstance(paused, dict) else None,
            model_problem=None if model_problem is None else f"{model_problem.message}; {model_problem.remedy}",
            tail_problem=tail_problem,
            history=self._history_with(active),
        )

    def conditions(self, config: Config) -> tuple[Check, ...]:
        """What the machine can afford now."""
        section = config.conditions
        limits = conditions.Limits(
            section.require_ac,
            section.max_temperature_c,
            section.min_free_memory_mb,
            section.min_free_disk_mb,
            section.max_memory_pressure,
            section.hysteresis,
        )
        checks = conditions.judge(conditions.read(self._disk, self._sys, self._proc), limits, self._failing)
        self._failing = frozenset(check.name for check in checks if not check.ok)
        return checks

    def _hours_since_last(self, now: datetime) -> float | None:
        """By the wall clock; where that was set back behind the last cycle, by how long this process knows of it."""
        last = self._ledger.cycles.last_finished()
        if last is None or last.finished_at is None:
            return None
        if self._last_finish is None or self._last_finish[0] != last.number:
            self._last_finish = (last.number, self._monotonic())
        hours = (now - last.finished_at).total_seconds() / 3600
        return hours if hours >= 0 else (self._monotonic() - self._last_finish[1]) / 3600

    def _history_with(self, active: str | None) -> History:
        """Read again only after another cycle or switch: each row carries a whole report."""
        key = (self._last_finish[0] if self._last_finish else 0, active)
        if self._history is None or self._history[0] != key:
            self._history = (key, self._read_history(active))
        return self._history[1]

    def _read_history(self, active: str | None) -> History:
        finished = [row for row in self._ledger.cycles.list(_HISTORY) if row.verdict is not None]
        refused = next((i for i, row in enumerate(finished) if row.verdict not in ("rejected", "rolled_back")), len(finished))
        committed = [row for row in finished if row.verdict == "committed"]
        lights = next((i for i, row in enumerate(committed) if row.kind == "deep"), len(committed))
        kl = committed[0].summary.get("kl") if committed and active is not None else None
        bare = active is None and bool(self._ledger.cards.living())
        return History(lights, refused, kl if isinstance(kl, int | float) else None, bare)
