"""The history of cycles: from the running daemon, or without one from the ledger, in the same documents. Changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from sleepd.cli.target import Target
from sleepd.errors import NoDaemonError, NotFoundError

if TYPE_CHECKING:
    from sleepd.config import Loaded
    from sleepd.ledger import CycleRow, Ledger

LEDGER_FILE = "ledger.db"


def ask(target: Target, command: str, args: Mapping[str, Any]) -> dict[str, Any]:
    """``cycles``, ``show`` or ``report``. Raises NoDaemonError when there is no ledger either."""
    return ask_or_read(target, command, args, lambda ledger, loaded: _read(ledger, loaded, command, args))


def ask_or_read(target: Target, command: str, args: Mapping[str, Any], read: Callable[[Ledger, Loaded], dict[str, Any]]) -> dict[str, Any]:
    """The running daemon's answer, or without one what ``read`` makes of the ledger. Raises NoDaemonError when there is neither."""
    try:
        return target.call(command, args)
    except NoDaemonError:
        loaded = target.load()
        if not (loaded.directories.state / LEDGER_FILE).exists():
            raise
    from sleepd.ledger import Ledger

    with Ledger.open(loaded.directories.state / LEDGER_FILE, readonly=True) as ledger:
        return read(ledger, loaded)


def _read(ledger: Ledger, loaded: Loaded, command: str, args: Mapping[str, Any]) -> dict[str, Any]:
    from sleepd.daemon.status import row_document

    if command == "cycles":
        return {"cycles": [row_document(row) for row in ledger.cycles.list(args["limit"])]}
    row = _row(ledger, args.get("number"))
    if command == "report":
        return {**row_document(row), "report": row.summary.get("report"), "verification": row.summary.get("verification")}
    from sleepd.adapter.store import AdapterStore, cycle_id

    steps = [{"step": step.step, "entered_at": step.entered_at.isoformat()} for step in ledger.cycles.steps(row.number)]
    active = AdapterStore(loaded.directories.state / "adapters").active() == cycle_id(row.number)
    return {**row_document(row), "steps": steps, "active": active, "summary": dict(row.summary)}


def _row(ledger: Ledger, number: int | None) -> CycleRow:
    if number is not None:
        return ledger.cycles.get(number)
    last = ledger.cycles.last_finished()
    if last is None:
        raise NotFoundError("no cycle has ended yet", "see `sleepd check` for what it waits for")
    return last
