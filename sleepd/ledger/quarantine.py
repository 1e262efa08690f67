"""What could not be used and why: bad entries, refused cards, rejected candidates. Nothing here is ever trained."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sleepd.ledger.database import Database, moment, stamp


@dataclass(frozen=True)
class QuarantineRow:
    """``kind`` and ``key`` name the thing; ``payload`` is what is left of it; ``count``: how often it was met."""

    kind: str
    key: str
    reason: str
    payload: str
    first_seen: datetime
    last_seen: datetime
    count: int


class QuarantineLedger:
    """``ledger.quarantine``."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def add(self, kind: str, key: str, reason: str, payload: str, now: datetime) -> None:
        """Set one thing aside; meeting it again only counts it and keeps the latest reason."""
        at = stamp(now)
        self._db.run(
            "INSERT INTO quarantine VALUES (?, ?, ?, ?, ?, ?, 1) ON CONFLICT DO UPDATE SET "
            "reason = excluded.reason, payload = excluded.payload, last_seen = excluded.last_seen, count = count + 1",
            (kind, key, reason, payload.encode("utf-8", "replace").decode(), at, at),
        )

    def count(self) -> int:
        row = self._db.row("SELECT COUNT(*) FROM quarantine")
        return 0 if row is None else int(row[0])

    def list(self, limit: int) -> list[QuarantineRow]:
        """The ``limit`` that were met last, newest first."""
        rows = self._db.rows("SELECT * FROM quarantine ORDER BY last_seen DESC, kind, key LIMIT ?", (limit,))
        return [
            QuarantineRow(r["kind"], r["key"], r["reason"], r["payload"], moment(r["first_seen"]), moment(r["last_seen"]), r["count"])
            for r in rows
        ]
