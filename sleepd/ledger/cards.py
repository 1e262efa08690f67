"""The facts that were learned or are being learned, and on which nights each was recalled."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sleepd.cardlife import LIVING, Life
from sleepd.errors import NotFoundError
from sleepd.ledger.database import Database, moment, stamp
from sleepd.records import Card, CardStatus
from sleepd.retention import Asked

_CHUNK = 200  # SQLite takes at least 999 parameters a statement
_FIELDS = ("id", "subject", "relation", "value", "quote", "speaker", "time", "session", "importance", "experience_id", "status", "origin")
# Of probes AS p: taught and not recalled, since the card was last recalled.
_MISSES = (
    "SUM(p.taught AND NOT p.recalled AND NOT EXISTS "
    "(SELECT 1 FROM probes AS later WHERE later.card_id = p.card_id AND later.cycle > p.cycle AND later.recalled))"
)


@dataclass(frozen=True)
class Probe:
    """Whether a card was recalled in the evaluation of one cycle. ``loss``: nats per token of its right answer, if measured.

    ``taught``: that cycle taught the card, and did not only ask for it.
    """

    card_id: str
    cycle: int
    recalled: bool
    at: datetime
    loss: float | None = None
    taught: bool = False


@dataclass(frozen=True)
class ProbeSummary:
    """``best``: recalled after some cycle; ``last``: after the newest one that asked.

    ``misses``: how often it was taught and not recalled since it last was.
    """

    best: bool
    last: bool
    probes: int
    misses: int = 0


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

    def life(self, card_id: str) -> Life:
        """Status and misses of a card; those of one that nobody told yet when it is not in the ledger."""
        row = self._db.row("SELECT status FROM cards WHERE id = ?", (card_id,))
        if row is None:
            return Life()
        missed = self._db.row(f"SELECT {_MISSES} AS misses FROM probes AS p WHERE card_id = ?", (card_id,))
        return Life(row["status"], 0 if missed is None else int(missed["misses"] or 0))

    def count(self, status: CardStatus) -> int:
        row = self._db.row("SELECT COUNT(*) FROM cards WHERE status = ?", (status,))
        return 0 if row is None else int(row[0])

    def record_probe(
        self, card_id: str, cycle: int, recalled: bool, now: datetime, loss: float | None = None, *, taught: bool = False
    ) -> None:
        """Note what an evaluation found; the same cycle asked twice keeps the later answer."""
        with self._db.transaction():
            if self._db.row("SELECT 1 FROM cards WHERE id = ?", (card_id,)) is None:
                raise _unknown(card_id)
            self._db.run(
                "INSERT OR REPLACE INTO probes (card_id, cycle, recalled, at, loss, taught) VALUES (?, ?, ?, ?, ?, ?)",
                (card_id, cycle, recalled, stamp(now), loss, taught),
            )

    def probes(self, card_id: str | None = None) -> list[Probe]:
        """Probes of one card or of all, oldest cycle first."""
        where, parameters = ("", ()) if card_id is None else (" WHERE card_id = ?", (card_id,))
        rows = self._db.rows(f"SELECT * FROM probes{where} ORDER BY cycle, card_id", parameters)
        return [Probe(r["card_id"], r["cycle"], bool(r["recalled"]), moment(r["at"]), r["loss"], bool(r["taught"])) for r in rows]

    def values(self) -> list[tuple[str, str, str, str]]:
        """Speaker, subject, relation and value of each living card: what a newer statement may correct."""
        living = ", ".join("?" * len(LIVING))
        rows = self._db.rows(f"SELECT speaker, subject, relation, value FROM cards WHERE status IN ({living})", LIVING)
        return [(row["speaker"], row["subject"], row["relation"], row["value"]) for row in rows]

    def probes_since(self, cycle: int) -> Iterator[dict[str, Any]]:
        """Card, cycle and outcome of every probe from ``cycle`` on, one by one."""
        for row in self._db.each("SELECT card_id, cycle, recalled FROM probes WHERE cycle >= ? ORDER BY card_id, cycle", (cycle,)):
            yield {"card_id": row["card_id"], "cycle": row["cycle"], "recalled": bool(row["recalled"])}

    def histories(self, card_ids: Sequence[str], since: int = 0) -> Iterator[tuple[str, list[Asked]]]:
        """Each card with its probes from cycle ``since`` on, oldest first, in the order of ``card_ids``.

        Reads a few hundred cards at a time, because years of probes do not fit a small machine's memory.
        """
        for start in range(0, len(card_ids), _CHUNK):
            chunk = card_ids[start : start + _CHUNK]
            found: dict[str, list[Asked]] = {card_id: [] for card_id in chunk}
            query = "SELECT card_id, julianday(at), recalled, loss FROM probes"
            where = f"card_id IN ({', '.join('?' * len(chunk))}) AND cycle >= ?"
            for card_id, day, recalled, loss in self._db.rows(f"{query} WHERE {where} ORDER BY cycle", (*chunk, since)):
                found[card_id].append(Asked(day, bool(recalled), loss))
            yield from found.items()

    def last_probes(self) -> dict[str, int]:
        """The newest cycle that asked for each card."""
        return {r["card_id"]: r["cycle"] for r in self._db.rows("SELECT card_id, MAX(cycle) AS cycle FROM probes GROUP BY card_id")}

    def probe_summaries(self) -> dict[str, ProbeSummary]:
        """Best, last and number of probes of every card that was ever asked for, in one query."""
        # SQLite takes the bare column from the row that holds the maximum
        columns = f"card_id, MAX(cycle), recalled, COUNT(*) AS n, SUM(recalled) AS hits, {_MISSES} AS misses"
        rows = self._db.rows(f"SELECT {columns} FROM probes AS p GROUP BY card_id")
        return {r["card_id"]: ProbeSummary(r["hits"] > 0, bool(r["recalled"]), r["n"], r["misses"]) for r in rows}


def _card(row: sqlite3.Row) -> Card:
    return Card(**{name: row[name] for name in _FIELDS})


def _unknown(card_id: str) -> NotFoundError:
    return NotFoundError(f"no card {card_id} in the ledger", "put the card before its status or probes")
