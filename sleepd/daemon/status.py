"""The status document, its line for systemd, and a cycle's row as JSON. Reads state, changes none."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from sleepd import __version__
from sleepd.adapter.store import cycle_id
from sleepd.daemon import circadian
from sleepd.daemon.context import Run
from sleepd.daemon.engine import Engine
from sleepd.ledger import CycleRow
from sleepd.records import Decision


def status(engine: Engine, generation: int) -> dict[str, Any]:
    """``status --json``. Keys are API."""
    phase = circadian.phase_at(engine.ports.now(), engine.clock)
    totals = engine.ledger.experiences.totals()
    last = engine.last_cycle()
    return {
        "version": __version__,
        "instance": engine.loaded.instance,
        "phase": phase.phase,
        "next_phase_change": None if phase.next_change is None else phase.next_change.isoformat(),
        "decision": decision_document(engine.decide()),
        "totals": {"experiences": totals.experiences, "usable": totals.usable, "new": totals.new},
        "sleep_debt": _debt(engine),
        "pace": asdict(engine.pace()),
        "cycle": None if engine.driver.run is None else run_document(engine.driver.run),
        "active": _active(engine),
        "last_cycle": None if last is None else {"id": cycle_id(last.number), "verdict": last.verdict, "reasons": list(last.reasons)},
        "inference": engine.inference.document(),
        "quarantine": engine.ledger.quarantine.count(),
        "still_in_the_weights": engine.ledger.forgetting.still_in_the_weights(),
        "stubborn": engine.ledger.cards.count("stubborn"),
        "config_generation": generation,
        "paused": engine.ledger.values.get("paused") is not None,
        "errors": engine.problems.lines(),
    }


def _debt(engine: Engine) -> dict[str, Any]:
    debt = engine.debt()
    return {**asdict(debt), "hours": round(debt.hours, 1), "reasons": list(debt.reasons)}


def decision_document(decision: Decision) -> dict[str, Any]:
    return {
        "should_run": decision.should_run,
        "reason": decision.reason,
        "checks": [asdict(check) for check in decision.checks],
        "kind": decision.kind,
    }


def run_document(run: Run) -> dict[str, Any]:
    """A run in progress. ``waiting``: why it stopped at its checkpoint, while it waits for its next night."""
    progress = None if run.progress is None else asdict(run.progress)
    return {
        "id": run.name,
        "kind": run.kind,
        "stage": run.step,
        "progress": progress,
        "waiting": run.waiting,
        "requested_by": run.requested_by,
    }


def progress_line(run: Run) -> dict[str, Any]:
    """One line of ``follow``."""
    document: dict[str, Any] = {"cycle": run.name, "kind": run.kind, "stage": run.step, "percent": None}
    if run.progress is not None:
        document |= asdict(run.progress)
        document["stage"] = run.step
    return document


def done_line(row: CycleRow | None, run: Run | None = None) -> dict[str, Any]:
    """The last line of ``follow``: how the cycle ended, or that it waits."""
    if run is not None and run.waiting is not None:
        return {"done": True, "cycle": run.name, "verdict": None, "waiting": run.waiting, "reasons": [run.waiting]}
    if row is None:
        return {"done": True, "cycle": None, "verdict": None, "reasons": []}
    return {"done": True, "cycle": cycle_id(row.number), "verdict": row.verdict, "reasons": list(row.reasons)}


def row_document(row: CycleRow) -> dict[str, Any]:
    """One cycle of the history, without its report."""
    summary = row.summary
    figures = (summary.get("report") or {}).get("figures") or {}
    return {
        "id": cycle_id(row.number),
        "number": row.number,
        "kind": row.kind,
        "step": row.step,
        "started_at": row.started_at.isoformat(),
        "finished_at": None if row.finished_at is None else row.finished_at.isoformat(),
        "verdict": row.verdict,
        "reasons": list(row.reasons),
        "requested_by": row.requested_by,
        "tag": row.tag,
        "num_experiences": summary.get("num_experiences"),
        "final_loss": summary.get("final_loss"),
        "figures": figures,
    }


def status_line(engine: Engine) -> str:
    """What ``systemctl status`` shows: the phase, and stage and percentage of a running cycle."""
    phase = circadian.phase_at(engine.ports.now(), engine.clock).phase
    run = engine.driver.run
    if run is not None and engine.driver.busy:
        percent = f" {run.progress.percent:.0f} %" if run.progress is not None else ""
        return f"{phase}: {run.name} {run.step}{percent}"
    waiting = f", {run.name} waits to be resumed ({run.waiting})" if run is not None else ""
    return f"{phase}: {engine.active_id() or 'base model'} active{waiting}"


def _active(engine: Engine) -> dict[str, Any] | None:
    active = engine.active_id()
    if active is None:
        return None
    known = engine.ledger.values.get("active")
    value = known if isinstance(known, dict) and known.get("id") == active else {}
    return {
        "id": active,
        "sha256": value.get("sha256") or engine.context.store.sha256(active),
        "since": value.get("since"),
        "by": value.get("by"),
    }
