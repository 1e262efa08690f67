"""Collects what a decision depends on: phase, counts, times, conditions, history. Decides nothing and changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from sleepd.config import Config
from sleepd.daemon import circadian, conditions, urgent
from sleepd.daemon.circadian import Clock
from sleepd.daemon.debt import DebtWatch
from sleepd.daemon.decide import History, Snapshot, Thresholds
from sleepd.daemon.pace import AS_SCHEDULED, Pace, pace
from sleepd.daemon.urgent import Urgent
from sleepd.errors import SleepdError
from sleepd.ledger import Ledger
from sleepd.records import Check

_HISTORY = 50
_LATEST = 200  # exchanges among which an urgent one is looked for


def thresholds(config: Config) -> Thresholds:
    """The schedule with its preset applied."""
    schedule, resolved = config.schedule, config.schedule.resolved()
    return Thresholds(
        resolved.min_experiences,
        resolved.min_new_experiences,
        resolved.min_hours_between_sleep,
        config.schedule.idle_minutes,
        config.schedule.deep_every,
        config.gate.max_kl,
        schedule.min_hours_early if schedule.early_nights else None,
        0 if schedule.min_new_experiences is None else schedule.min_new_experiences,
        0.0 if schedule.min_hours_between_sleep is None else schedule.min_hours_between_sleep,
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
        self._pace: tuple[int, Pace] | None = None
        self._urgent: tuple[tuple[object, ...], Urgent | None] | None = None
        self.debt = DebtWatch(ledger)

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
            urgent=self._find_urgent(config),
            pace=self.pace(config),
        )

    def pace(self, config: Config) -> Pace:
        """What the last nights say about the next one's thresholds."""
        if not config.schedule.adaptive:
            return AS_SCHEDULED
        last = self._ledger.cycles.last_times()
        number = 0 if last is None else last[0]
        if self._pace is None or self._pace[0] != number:
            committed = self._ledger.cycles.last_committed()
            kept = None if committed is None else _kept(committed.summary)
            self._pace = (number, pace(self._ledger.cycles.verdicts(_HISTORY), kept))
        return self._pace[1]

    def _find_urgent(self, config: Config) -> Urgent | None:
        """What came in since the last cycle began: one that a night has had before it is no reason for another."""
        if not config.schedule.early_nights:
            return None
        totals, last = self._ledger.experiences.totals(), self._ledger.cycles.last_times()
        salience = config.schedule.urgent_salience
        key = (totals.experiences, totals.new, None if last is None else last[0], salience)
        if self._urgent is None or self._urgent[0] != key:
            waiting = self._ledger.experiences.waiting(None if last is None else last[1], _LATEST)
            stated = any(verdict.cards for _, verdict in waiting)
            known = {urgent.slot(*told[:3]): told[3] for told in self._ledger.cards.values()} if stated else {}
            self._urgent = (key, urgent.find(waiting, known, salience))
        return self._urgent[1]

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
        last = self._ledger.cycles.last_times()
        if last is None:
            return None
        number, _, finished_at = last
        if self._last_finish is None or self._last_finish[0] != number:
            self._last_finish = (number, self._monotonic())
        hours = (now - finished_at).total_seconds() / 3600
        return hours if hours >= 0 else (self._monotonic() - self._last_finish[1]) / 3600

    def _history_with(self, active: str | None) -> History:
        """Read again only after another cycle or switch: each row carries a whole report."""
        key = (self._last_finish[0] if self._last_finish else 0, active)
        if self._history is None or self._history[0] != key:
            self._history = (key, self._read_history(active))
        return replace(self._history[1], deep_wanted=self._deep_wanted())

    def _deep_wanted(self) -> str | None:
        """Why a deep cycle is due whatever the calendar says: only one made anew from the base can be free of a memory."""
        memories = sum(self._ledger.forgetting.still_in_the_weights())
        if memories:
            return f"{memories} to be forgotten, still in the weights"
        dreams = self._ledger.dreams.still_in_the_weights()
        return f"{dreams} vetoed {'dream is' if dreams == 1 else 'dreams are'} still in the weights" if dreams else None

    def _read_history(self, active: str | None) -> History:
        finished = [row for row in self._ledger.cycles.list(_HISTORY) if row.verdict is not None]
        refused = next((i for i, row in enumerate(finished) if row.verdict not in ("rejected", "rolled_back")), len(finished))
        committed = [row for row in finished if row.verdict == "committed"]
        lights = next((i for i, row in enumerate(committed) if row.kind == "deep"), len(committed))
        kl = committed[0].summary.get("kl") if committed and active is not None else None
        bare = active is None and bool(self._ledger.cards.living())
        return History(lights, refused, kl if isinstance(kl, int | float) else None, bare)


def _kept(summary: Mapping[str, Any]) -> float | None:
    """The share of earlier cards that were ever recalled and still were after this cycle."""
    figures = (summary.get("report") or {}).get("figures") or {}
    best, after = figures.get("old_recalled_best"), figures.get("old_recalled_after")
    return float(after) / best if isinstance(best, int) and isinstance(after, int) and best else None
