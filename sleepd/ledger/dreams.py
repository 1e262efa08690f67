"""The dream journal: what deep cycles made up out of cards and trained, and what a person vetoed.

A dream is known by the cards that it combines and how, not by its words: who vetoes one means all its wordings.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sleepd.errors import NotFoundError
from sleepd.ledger.database import Database, moment, stamp

Message = tuple[str, str]

_LAST_DEEP = "SELECT COALESCE(MAX(number), 0) FROM cycles WHERE verdict = 'committed' AND kind = 'deep'"


@dataclass(frozen=True)
class DreamRow:
    """One dream with the words of its last night. ``messages``: (role, content); ``cycle``: the last that trained it.

    Of a vetoed dream whose card was forgotten only the id is left, so that it is never dreamt again.
    """

    id: str
    kind: str
    card_ids: tuple[str, ...]
    messages: tuple[Message, ...]
    cycle: int
    times: int
    dreamt_at: datetime
    vetoed_by: str | None
    vetoed_at: datetime | None


class DreamLedger:
    """``ledger.dreams``."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def put(self, dream_id: str, kind: str, card_ids: Sequence[str], messages: Sequence[Message], cycle: int, now: datetime) -> None:
        """Record that ``cycle`` trained a dream; dreamt again, it keeps its veto and takes over the new words."""
        content = json.dumps([list(message) for message in messages], ensure_ascii=True)
        self._db.run(
            "INSERT INTO dreams (id, kind, card_ids, messages, cycle, times, dreamt_at) VALUES (?, ?, ?, ?, ?, 1, ?) "
            "ON CONFLICT (id) DO UPDATE SET card_ids = excluded.card_ids, messages = excluded.messages, "
            "times = times + (cycle <> excluded.cycle), cycle = excluded.cycle, dreamt_at = excluded.dreamt_at",
            (dream_id, kind, json.dumps(list(card_ids)), content, cycle, stamp(now)),
        )

    def get(self, dream_id: str) -> DreamRow:
        """Raises NotFoundError."""
        row = self._db.row("SELECT * FROM dreams WHERE id = ?", (dream_id,))
        if row is None:
            raise NotFoundError(f"no dream {dream_id} in the journal", "see `sleepd dreams` for those there are")
        return _dream(row)

    def veto(self, dream_id: str, by: str, now: datetime) -> DreamRow:
        """Note that ``by`` does not want this dream; a second veto changes nothing. Raises NotFoundError."""
        with self._db.transaction():
            self.get(dream_id)
            self._db.run("UPDATE dreams SET vetoed_by = ?, vetoed_at = ? WHERE id = ? AND vetoed_by IS NULL", (by, stamp(now), dream_id))
            return self.get(dream_id)

    def vetoed(self) -> list[str]:
        """The ids that are never to be dreamt again, in order."""
        return [row["id"] for row in self._db.rows("SELECT id FROM dreams WHERE vetoed_by IS NOT NULL ORDER BY id")]

    def still_in_the_weights(self) -> int:
        """How many vetoed dreams the last committed deep cycle trained: the next one, made anew, goes without them."""
        row = self._db.row(f"SELECT COUNT(*) FROM dreams WHERE vetoed_by IS NOT NULL AND cycle >= ({_LAST_DEEP})")
        return 0 if row is None else int(row[0])

    def in_the_weights(self, dream_id: str) -> bool:
        """Whether the last committed deep cycle trained this one."""
        return self._db.row(f"SELECT 1 FROM dreams WHERE id = ? AND cycle >= ({_LAST_DEEP})", (dream_id,)) is not None

    def purge(self, card_ids: Collection[str]) -> int:
        """Take every trace of these cards out of the journal; returns how many dreams lost their words.

        A veto outlives the words: its id, which tells nothing of them, stays.
        """
        gone = set(card_ids)
        with self._db.transaction():
            rows = self._db.rows("SELECT id, card_ids FROM dreams WHERE messages <> '[]'")
            touched = [(row["id"],) for row in rows if gone & set(json.loads(row["card_ids"]))]
            self._db.run_many("DELETE FROM dreams WHERE id = ? AND vetoed_by IS NULL", touched)
            self._db.run_many("UPDATE dreams SET card_ids = '[]', messages = '[]' WHERE id = ?", touched)
        return len(touched)

    def list(self, limit: int | None = None) -> list[DreamRow]:
        """Those that have words, the last cycle's first."""
        rows = self._db.rows(
            "SELECT * FROM dreams WHERE messages <> '[]' ORDER BY cycle DESC, id LIMIT ?", (-1 if limit is None else limit,)
        )
        return [_dream(row) for row in rows]


def _dream(row: sqlite3.Row) -> DreamRow:
    return DreamRow(
        id=row["id"],
        kind=row["kind"],
        card_ids=tuple(json.loads(row["card_ids"])),
        messages=tuple((role, content) for role, content in json.loads(row["messages"])),
        cycle=row["cycle"],
        times=row["times"],
        dreamt_at=moment(row["dreamt_at"]),
        vetoed_by=row["vetoed_by"],
        vetoed_at=None if row["vetoed_at"] is None else moment(row["vetoed_at"]),
    )
