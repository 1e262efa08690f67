"""The facts that were learned or are being learned, and on which nights each was recalled."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import datetime

from sleepd.errors import NotFoundError
from sleepd.ledger.database import Database, moment, stamp
from sleepd.records import Card, CardStatus

LIVING: tuple[CardStatus, ...] = ("learning", "graduated", "fading", "stubborn")
_FIELDS = ("id", "subject", "relation", "value", "quote", "speaker", "time", "session", "importance", "experience_id", "status")


@dataclass(frozen=True)
class Probe:
    """Whether a card was recalled in the evaluation of one cycle."""

    card_id: str
    cycle: int
    recalled: bool
    at: datetime


@dataclass(frozen=True)
class ProbeSummary:
    """``best``: recalled after some cycle; ``last``: after the newest one that asked."""

    best: bool
    last: bool
    probes: int


class CardLedger:
    """``ledger.cards``."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def put(self, card: Card, now: datetime) -> None:
        """Record a card; a known id takes over the new values and status and keeps its probes."""
        at = stamp(now)
        columns = ", ".join(_FIELDS)
        updates = ", ".join(f"{name} = excluded.{name}" for name in _FIELDS[1:])
        self._db.run(
            f"INSERT INTO cards ({columns}, created_at, changed_at) VALUES ({', '.join('?' * len(_FIELDS))}, ?, ?) "
            f"ON CONFLICT (id) DO UPDATE SET {updates}, changed_at = excluded.changed_at",
            (*(getattr(card, name) for name in _FIELDS), at, at),
        )

    def get(self, card_id: str) -> Card | None:
        row = self._db.row("SELECT * FROM cards WHERE id = ?", (card_id,))
        return None if row is None else _card(row)

    def all(self, status: CardStatus | None = None) -> list[Card]:
        """Every card, or those with one status, oldest first."""
        where, parameters = ("", ()) if status is None else (" WHERE status = ?", (status,))
        return [_card(row) for row in self._db.rows(f"SELECT * FROM cards{where} ORDER BY created_at, id", parameters)]

    def living(self) -> list[Card]:
        """Those that are in the weights or on the way there: trained, neither superseded nor forgotten nor set aside."""
        rows = self._db.rows(f"SELECT * FROM cards WHERE status IN ({', '.join('?' * len(LIVING))}) ORDER BY created_at, id", LIVING)
        return [_card(row) for row in rows]

    def set_status(self, card_id: str, status: CardStatus, now: datetime) -> None:
        if self._db.run("UPDATE cards SET status = ?, changed_at = ? WHERE id = ?", (status, stamp(now), card_id)) == 0:
            raise _unknown(card_id)

    def record_probe(self, card_id: str, cycle: int, recalled: bool, now: datetime) -> None:
        """Note what an evaluation found; the same cycle asked twice keeps the later answer."""
        with self._db.transaction():
            if self._db.row("SELECT 1 FROM cards WHERE id = ?", (card_id,)) is None:
                raise _unknown(card_id)
            self._db.run("INSERT OR REPLACE INTO probes VALUES (?, ?, ?, ?)", (card_id, cycle, recalled, stamp(now)))

    def probes(self, card_id: str | None = None) -> list[Probe]:
        """Probes of one card or of all, oldest cycle first."""
        where, parameters = ("", ()) if card_id is None else (" WHERE card_id = ?", (card_id,))
        rows = self._db.rows(f"SELECT * FROM probes{where} ORDER BY cycle, card_id", parameters)
        return [Probe(r["card_id"], r["cycle"], bool(r["recalled"]), moment(r["at"])) for r in rows]

    def probe_summaries(self) -> dict[str, ProbeSummary]:
        """Best, last and number of probes of every card that was ever asked for, in one query."""
        # SQLite takes the bare column from the row that holds the maximum
        rows = self._db.rows("SELECT card_id, MAX(cycle), recalled, COUNT(*) AS n, SUM(recalled) AS hits FROM probes GROUP BY card_id")
        return {r["card_id"]: ProbeSummary(r["hits"] > 0, bool(r["recalled"]), r["n"]) for r in rows}


def _card(row: sqlite3.Row) -> Card:
    return Card(**{name: row[name] for name in _FIELDS})


def _unknown(card_id: str) -> NotFoundError:
    return NotFoundError(f"no card {card_id} in the ledger", "put the card before its status or probes")
