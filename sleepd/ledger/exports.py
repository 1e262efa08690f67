"""``scheduler_state.json``: what the ledger says, in the exact fields that existing programs read.

Times in it are naive and local, as their writers and readers have them.
"""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

from sleepd.durable import write_atomic
from sleepd.ledger.cycles import CycleRow
from sleepd.ledger.ledger import Ledger
from sleepd.ledger.rebuild import RebuildReport, rebuild

__all__ = ["HISTORY", "RebuildReport", "naive_local", "rebuild", "scheduler_state", "write_scheduler_state"]

HISTORY = 100  # committed cycles kept in the file; the ledger keeps them all


def scheduler_state(ledger: Ledger) -> dict[str, object]:
    """The document. ``experiences_at_last_sleep``: usable experiences that are trained, so that total minus it is what is new."""
    totals, last = ledger.experiences.totals(), ledger.cycles.last_committed()
    return {
        "last_sleep_time": None if last is None or last.finished_at is None else naive_local(last.finished_at),
        "last_sleep_cycle": 0 if last is None else last.number,
        "experiences_at_last_sleep": totals.usable - totals.new,
        "total_sleep_cycles": ledger.cycles.count_committed(),
        "sleep_history": [_entry(row) for row in reversed(ledger.cycles.committed(HISTORY))],
    }


def write_scheduler_state(ledger: Ledger, path: Path) -> None:
    """Write it durably. Raises StoreError when it cannot be written."""
    write_atomic(path, json.dumps(scheduler_state(ledger), indent=2) + "\n")


def naive_local(at: datetime) -> str:
    """An aware time as the documents have it: local, without offset."""
    return at.astimezone().replace(tzinfo=None).isoformat()


def _entry(row: CycleRow) -> dict[str, object]:
    timestamp = row.summary.get("timestamp")
    at = datetime.fromisoformat(timestamp) if isinstance(timestamp, str) else row.finished_at or row.started_at
    return {
        "cycle": row.number,
        "timestamp": at.isoformat() if at.tzinfo is None else naive_local(at),
        "num_experiences": row.summary.get("num_experiences", 0),
        "final_loss": row.summary.get("final_loss"),
    }
