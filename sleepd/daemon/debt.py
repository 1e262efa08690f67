"""Sleep debt: how much usable experience waits for a night, since when, and which nights did not happen and why. Reads only.

A night that should have been and was not is easily overlooked for days, because nothing happens then. So the debt is
shown in ``status``, and the log warns of it once a day when it grows old.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sleepd.adapter.store import cycle_id
from sleepd.daemon import circadian
from sleepd.daemon.circadian import Clock
from sleepd.journal import Event, logger
from sleepd.ledger import CycleRow, Ledger
from sleepd.ledger.decisions import DecisionRow

log = logger(__name__)

WARNED = "debt_warned"
"""The ledger value with the time of the last warning."""
WARN_EVERY = timedelta(days=1)
LOOK_BACK = timedelta(days=31)
MOST_REASONS = 5
_DECISIONS, _CYCLES = 100, 10  # that are searched for reasons; a cycle carries its whole report

Night = tuple[datetime, datetime]


@dataclass(frozen=True)
class Debt:
    """``hours``: for how long the ``experiences`` have waited, since the last committed night at most.

    ``nights_missed``: whole nights in that time, of the last month; ``reasons``: why, the last night's first.
    """

    experiences: int = 0
    hours: float = 0.0
    nights_missed: int = 0
    reasons: tuple[str, ...] = ()


def nights(since: datetime, now: datetime, clock: Clock) -> list[Night]:
    """The nights that began and ended between two moments, oldest first. Where it is never day, one ends when the next begins."""
    found: list[Night] = []
    began: datetime | None = None
    at, phase = since, circadian.phase_at(since, clock)
    while phase.next_change is not None and phase.next_change <= now:
        at = phase.next_change
        dawn = phase.next_phase == "DAY"
        dusk = phase.next_phase == "NIGHT" or (phase.phase == "DAY" and not dawn)
        if (dawn or dusk) and began is not None:
            found.append((began, at))
            began = None
        if dusk:
            began = at
        phase = circadian.phase_at(at, clock)
    if phase.next_change is None and phase.phase != "DAY":  # one phase for ever: a night is as good as a day
        found += [(at + timedelta(days=n), at + timedelta(days=n + 1)) for n in range((now - at) // timedelta(days=1))]
    return found


def reasons(missed: Sequence[Night], cycles: Sequence[CycleRow], decisions: Sequence[DecisionRow]) -> tuple[str, ...]:
    """Why these nights brought nothing, each reason once, the last night's first. ``cycles``, ``decisions``: newest first."""
    told: dict[str, str] = {}
    for night in reversed(missed):
        kind, why = _why(night, cycles, decisions)
        told.setdefault(kind, why)
    return tuple(told.values())[:MOST_REASONS]


def _why(night: Night, cycles: Sequence[CycleRow], decisions: Sequence[DecisionRow]) -> tuple[str, str]:
    """What decided the night, and how to say it."""
    began, ended = night
    for cycle in cycles:
        if cycle.finished_at is not None and began <= cycle.finished_at <= ended:
            because = f": {cycle.reasons[0]}" if cycle.reasons else ""
            return f"cycle {cycle.verdict}", f"{cycle_id(cycle.number)} was {str(cycle.verdict).replace('_', ' ')}{because}"
    awake = [row for row in decisions if row.first_seen <= ended and row.last_seen >= began]
    for row in awake:
        failed = next((check.name for check in row.decision.checks if not check.ok and check.detail == row.decision.reason), "")
        if failed != "phase":
            return failed or "other", row.decision.reason if failed else f"it did not begin: {row.decision.reason}"
    if awake:
        return "asleep", "sleepd was not running for most of the night"
    return "asleep", f"sleepd was not running in the night to {ended.date().isoformat()}"


class DebtWatch:
    """Reckons the debt, and again only when something that it depends on may have changed."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._known: tuple[object, datetime | None, Debt] | None = None

    def look(self, now: datetime, clock: Clock) -> Debt:
        """The debt at ``now``."""
        totals = self._ledger.experiences.totals()
        if not totals.new:
            return Debt()
        key = (totals.experiences, totals.new, self._ledger.cycles.last_times(), clock, now.replace(minute=0, second=0, microsecond=0))
        if self._known is None or self._known[0] != key:
            since = self._since()
            self._known = (key, since, self._reckon(totals.new, since, now, clock))
        _, since, debt = self._known
        hours = 0.0 if since is None else max(0.0, (now - since).total_seconds() / 3600)
        return Debt(debt.experiences, hours, debt.nights_missed, debt.reasons)

    def _since(self) -> datetime | None:
        """When the oldest that waits came in, or when the last committed night ended, if that was later."""
        waiting, committed = self._ledger.experiences.waiting_since(), self._ledger.cycles.last_committed()
        ended = None if committed is None else committed.finished_at
        return max((moment for moment in (waiting, ended) if moment is not None), default=None)

    def _reckon(self, waiting: int, since: datetime | None, now: datetime, clock: Clock) -> Debt:
        if since is None or since > now:
            return Debt(waiting)
        missed = nights(max(since, now - LOOK_BACK), now, clock)
        why = reasons(missed, self._ledger.cycles.list(_CYCLES), self._ledger.decisions.list(_DECISIONS)) if missed else ()
        return Debt(waiting, 0.0, len(missed), why)

    def warn(self, now: datetime, clock: Clock, after_days: float, problems: Callable[[], list[str]]) -> bool:
        """Say in the log that nothing has happened for long, at most once a day, across restarts; True when it was said."""
        debt = self.look(now, clock)
        if debt.hours < after_days * 24:
            return False
        warned = self._ledger.values.get(WARNED)
        if isinstance(warned, str) and timedelta(0) <= now - datetime.fromisoformat(warned) < WARN_EVERY:
            return False
        self._ledger.values.set(WARNED, now.isoformat())
        log.warning(
            Event.NOTHING_FOR_LONG,
            experiences=debt.experiences,
            hours=round(debt.hours, 1),
            nights_missed=debt.nights_missed,
            reasons=list(debt.reasons),
            problems=problems(),
        )
        return True
