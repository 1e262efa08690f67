"""Every cycle with the step it is in, written down before the step is entered, and how it ended."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sleepd.errors import LedgerError, NotFoundError
from sleepd.ledger.database import Database, moment, stamp
from sleepd.records import CycleKind, Verdict


@dataclass(frozen=True)
class CycleRow:
    """One cycle. ``step`` is "" until the first step; ``finished_at`` and ``verdict`` are None while it runs."""

    number: int
    kind: CycleKind
    job_dir: str
    step: str
    step_data: Mapping[str, Any]
    started_at: datetime
    finished_at: datetime | None
    verdict: Verdict | None
    reasons: tuple[str, ...]
    summary: Mapping[str, Any]
    requested_by: str
    tag: str | None


@dataclass(frozen=True)
class StepRow:
    """One step that a cycle entered."""

    step: str
    data: Mapping[str, Any]
    entered_at: datetime


class CycleLedger:
    """``ledger.cycles``."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def begin(self, number: int, kind: CycleKind, job_dir: str, now: datetime, requested_by: str) -> int:
        """Open a cycle. The number is the caller's, because the store's directories count too; it is returned."""
        with self._db.transaction():
            running = self.current()
            if running is not None:
                raise LedgerError(
                    f"cycle {running.number} is not finished (step {running.step or 'none'})",
                    "finish or abandon it before the next one begins",
                )
            if self.find(number) is not None:
                raise LedgerError(f"cycle {number} exists already", "take the number after the highest in the ledger and the store")
            self._db.run(
                "INSERT INTO cycles (number, kind, job_dir, requested_by, started_at) VALUES (?, ?, ?, ?, ?)",
                (number, kind, job_dir, requested_by, stamp(now)),
            )
        return number

    def enter(self, number: int, step: str, data: Mapping[str, Any], now: datetime) -> None:
        """Write down that ``step`` is about to begin. Durable when it returns."""
        text = json.dumps(dict(data))
        with self._db.transaction():
            changed = self._db.run(
                "UPDATE cycles SET step = ?, step_data = ? WHERE number = ? AND finished_at IS NULL", (step, text, number)
            )
            if changed == 0:
                raise self._not_running(number)
            self._db.run("INSERT INTO steps (cycle, step, data, entered_at) VALUES (?, ?, ?, ?)", (number, step, text, stamp(now)))

    def finish(self, number: int, verdict: Verdict, reasons: Sequence[str], now: datetime, summary: Mapping[str, Any]) -> None:
        """Close a cycle. ``summary`` is free; the exports read ``num_experiences``, ``final_loss`` and ``timestamp`` from it."""
        changed = self._db.run(
            "UPDATE cycles SET verdict = ?, reasons = ?, finished_at = ?, summary = ? WHERE number = ? AND finished_at IS NULL",
            (verdict, json.dumps(list(reasons)), stamp(now), json.dumps(dict(summary)), number),
        )
        if changed == 0:
            raise self._not_running(number)

    def current(self) -> CycleRow | None:
        """The unfinished cycle, if there is one."""
        return self._first("WHERE finished_at IS NULL ORDER BY number DESC LIMIT 1")

    def find(self, number: int) -> CycleRow | None:
        return self._first("WHERE number = ?", number)

    def get(self, number: int) -> CycleRow:
        """Raises NotFoundError."""
        row = self.find(number)
        if row is None:
            raise self._unknown(number)
        return row

    def mentioning(self, text: str) -> list[CycleRow]:
        """Finished cycles whose summary holds ``text``, such as a card's id, oldest first."""
        return [_cycle(row) for row in self._db.rows("SELECT * FROM cycles WHERE instr(summary, ?) ORDER BY number", (text,))]

    def committed(self, limit: int | None = None) -> list[CycleRow]:
        """Committed cycles, newest first."""
        rows = self._db.rows(
            "SELECT * FROM cycles WHERE verdict = 'committed' ORDER BY number DESC LIMIT ?", (-1 if limit is None else limit,)
        )
        return [_cycle(row) for row in rows]

    def count_committed(self) -> int:
        row = self._db.row("SELECT COUNT(*) FROM cycles WHERE verdict = 'committed'")
        return 0 if row is None else int(row[0])

    def highest(self) -> int:
        """The highest number ever begun, 0 before the first."""
        row = self._db.row("SELECT COALESCE(MAX(number), 0) FROM cycles")
        return 0 if row is None else int(row[0])

    def last_finished(self) -> CycleRow | None:
        return self._first("WHERE finished_at IS NOT NULL ORDER BY number DESC LIMIT 1")

    def last_times(self) -> tuple[int, datetime, datetime] | None:
        """Number, start and end of the last finished cycle, without its report."""
        row = self._db.row("SELECT number, started_at, finished_at FROM cycles WHERE finished_at IS NOT NULL ORDER BY number DESC LIMIT 1")
        return None if row is None else (row["number"], moment(row["started_at"]), moment(row["finished_at"]))

    def verdicts(self, limit: int) -> list[str]:
        """How the last cycles ended, newest first."""
        rows = self._db.rows("SELECT verdict FROM cycles WHERE verdict IS NOT NULL ORDER BY number DESC LIMIT ?", (limit,))
        return [row["verdict"] for row in rows]

    def last_committed(self) -> CycleRow | None:
        return self._first("WHERE verdict = 'committed' ORDER BY number DESC LIMIT 1")

    def steps(self, number: int) -> list[StepRow]:
        """The steps it entered, in order."""
        rows = self._db.rows("SELECT step, data, entered_at FROM steps WHERE cycle = ? ORDER BY seq", (number,))
        return [StepRow(row["step"], json.loads(row["data"]), moment(row["entered_at"])) for row in rows]

    def tag(self, number: int, name: str | None) -> None:
        """Name a cycle, so that it is never pruned; None takes the name away."""
        if self._db.run("UPDATE cycles SET tag = ? WHERE number = ?", (name, number)) == 0:
            raise self._unknown(number)

    def tagged(self) -> set[int]:
        return {row["number"] for row in self._db.rows("SELECT number FROM cycles WHERE tag IS NOT NULL")}

    def list(self, limit: int | None = None) -> list[CycleRow]:
        """Newest first."""
        return [
            _cycle(row) for row in self._db.rows("SELECT * FROM cycles ORDER BY number DESC LIMIT ?", (-1 if limit is None else limit,))
        ]

    def _first(self, where: str, *parameters: int) -> CycleRow | None:
        row = self._db.row(f"SELECT * FROM cycles {where}", parameters)
        return None if row is None else _cycle(row)

    def _not_running(self, number: int) -> LedgerError | NotFoundError:
        row = self.find(number)
        if row is None:
            return self._unknown(number)
        return LedgerError(f"cycle {number} is finished already ({row.verdict})", "a finished cycle never changes; begin the next one")

    @staticmethod
    def _unknown(number: int) -> NotFoundError:
        return NotFoundError(f"no cycle {number} in the ledger", "see `sleepd cycles` for the ones there are")


def _cycle(row: sqlite3.Row) -> CycleRow:
    return CycleRow(
        number=row["number"],
        kind=row["kind"],
        job_dir=row["job_dir"],
        step=row["step"],
        step_data=json.loads(row["step_data"]),
        started_at=moment(row["started_at"]),
        finished_at=None if row["finished_at"] is None else moment(row["finished_at"]),
        verdict=row["verdict"],
        reasons=tuple(json.loads(row["reasons"])),
        summary=json.loads(row["summary"]),
        requested_by=row["requested_by"],
        tag=row["tag"],
    )
