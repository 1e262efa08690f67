"""Where a run's steps are written down: a cycle's in its row, a switch by hand in one ledger value."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any, Protocol, cast

from sleepd.daemon.context import SWITCH, Run
from sleepd.ledger import Ledger
from sleepd.records import Verdict


class RunLog(Protocol):
    """Durable when it returns, or when the transaction around it does."""

    def enter(self, run: Run, now: datetime) -> None: ...

    def finish(self, run: Run, now: datetime) -> None: ...


class CycleLog:
    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def enter(self, run: Run, now: datetime) -> None:
        assert run.number is not None
        self._ledger.cycles.enter(run.number, run.step, run.data, now)

    def finish(self, run: Run, now: datetime) -> None:
        assert run.number is not None
        verdict: Verdict = run.verdict or "abandoned"
        self._ledger.cycles.finish(run.number, verdict, run.reasons, now, run.data.get("summary", {}))


class SwitchLog:
    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def enter(self, run: Run, now: datetime) -> None:
        document = {"step": run.step, "data": run.data, "by": run.requested_by, "started": run.started.isoformat()}
        self._ledger.values.set(SWITCH, document)

    def finish(self, run: Run, now: datetime) -> None:
        self._ledger.values.remove(SWITCH)


def log_of(ledger: Ledger, run: Run) -> RunLog:
    return SwitchLog(ledger) if run.number is None else CycleLog(ledger)


def unfinished(ledger: Ledger) -> Run | None:
    """The run that the last process left behind. A switch by hand comes first: it began after the cycle waited."""
    value = ledger.values.get(SWITCH)
    if isinstance(value, dict):
        switch = cast("dict[str, Any]", value)
        return Run(None, "light", None, switch["by"], datetime.fromisoformat(switch["started"]), switch["step"], dict(switch["data"]))
    row = ledger.cycles.current()
    if row is None:
        return None
    return Run(row.number, row.kind, Path(row.job_dir), row.requested_by, row.started_at, row.step or "CURATE", dict(row.step_data))
