"""Logs the phase of the day and the decision when they change, and only then: they are looked at every minute."""

from __future__ import annotations

from sleepd.daemon.circadian import PhaseNow
from sleepd.journal import Event, logger
from sleepd.records import Decision

log = logger(__name__)


class Changes:
    """Remembers what was logged last."""

    def __init__(self) -> None:
        self._phase: str | None = None
        self._outcome: tuple[bool, str] | None = None

    def phase(self, now: PhaseNow) -> None:
        if now.phase != self._phase:
            log.info(Event.PHASE_CHANGED, phase=now.phase, until=None if now.next_change is None else now.next_change.isoformat())
            self._phase = now.phase

    def decision(self, decision: Decision, now: PhaseNow) -> None:
        outcome = _outcome(decision)
        if outcome != self._outcome:
            log.info(Event.DECISION_CHANGED, should_run=decision.should_run, reason=decision.reason, kind=decision.kind, phase=now.phase)
            self._outcome = outcome


def _outcome(decision: Decision) -> tuple[bool, str]:
    """What makes a decision worth a line in the log: not its numbers, which change with every look."""
    failed = next((check.name for check in decision.checks if not check.ok), "")
    return decision.should_run, failed
