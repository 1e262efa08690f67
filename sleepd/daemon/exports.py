"""Writes down beside the ledger what it holds: the scheduler's state for earlier programs, and what was forgotten."""

from __future__ import annotations

from pathlib import Path

from sleepd.errors import SleepdError
from sleepd.journal import Event, logger
from sleepd.ledger import Ledger
from sleepd.ledger.exports import write_scheduler_state
from sleepd.ledger.rebuild import SCHEDULER_STATE
from sleepd.ledger.tombstones import FILE as TOMBSTONES
from sleepd.ledger.tombstones import write_tombstones

log = logger(__name__)


def export(ledger: Ledger, state: Path) -> None:
    """Write both anew. A ledger that is right and an export that is old is no failure of a run: it is written again after the next."""
    for name, write in ((SCHEDULER_STATE, write_scheduler_state), (TOMBSTONES, write_tombstones)):
        try:
            write(ledger, state / name)
        except SleepdError as error:
            log.warning(Event.LEDGER_FAILED, error=error.message, remedy=error.remedy)
