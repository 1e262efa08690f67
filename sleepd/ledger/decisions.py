"""Every decision to sleep or not, with its reasons: the answer to "why did nothing happen last night".

A decision is taken every few seconds; a row stands for a run of them with the same outcome, so that
years of them stay readable.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import datetime

from sleepd.ledger.database import Database, moment, stamp
from sleepd.records import Check, Decision


@dataclass(frozen=True)
class DecisionRow:
    """A run of decisions with one outcome; ``decision`` is the last of them, with its numbers."""

    decision: Decision
    first_seen: datetime
    last_seen: datetime
    count: int


class DecisionLedger:
    """``ledger.decisions``."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def record(self, decision: Decision, now: datetime) -> None:
        """A new row when the outcome changed, else the last row's count, numbers and ``last_seen``."""
        at, outcome, text = stamp(now), _outcome(decision), json.dumps(asdict(decision))
        with self._db.transaction():
            last = self._db.row("SELECT seq, outcome FROM decisions ORDER BY seq DESC LIMIT 1")
            if last is not None and last["outcome"] == outcome:
                self._db.run("UPDATE decisions SET decision = ?, last_seen = ?, count = count + 1 WHERE seq = ?", (text, at, last["seq"]))
            else:
                self._db.run(
                    "INSERT INTO decisions (should_run, outcome, decision, first_seen, last_seen, count) VALUES (?, ?, ?, ?, ?, 1)",
                    (decision.should_run, outcome, text, at, at),
                )

    def list(self, limit: int) -> list[DecisionRow]:
        """The last ``limit`` rows, newest first."""
        rows = self._db.rows("SELECT * FROM decisions ORDER BY seq DESC LIMIT ?", (limit,))
        return [DecisionRow(_decision(r["decision"]), moment(r["first_seen"]), moment(r["last_seen"]), r["count"]) for r in rows]


def _outcome(decision: Decision) -> str:
    """What makes two decisions the same: the check that decided, or the reason where it is no check's.

    Not the wording of the reason: "0.4 h of 6.0 h" changes with every look and is no other decision.
    """
    if decision.should_run:
        return f"run {decision.kind}"
    decisive = [check.name for check in decision.checks if not check.ok and check.detail == decision.reason]
    return f"wait {decisive[0]}" if decisive else f"wait: {decision.reason}"


def _decision(text: str) -> Decision:
    value = json.loads(text)
    return Decision(value["should_run"], value["reason"], tuple(Check(**check) for check in value["checks"]), value["kind"])
