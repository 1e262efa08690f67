"""What was experienced, what the screen said of it, and which cycle trained it.

An experience is known by its id: a second one with the same id changes nothing, whatever file it came
from. Adding one costs the same however many there are.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from sleepd.ledger.database import Database, Value, moment, stamp
from sleepd.records import Card, Experience, Salience, ScreenVerdict, Totals

BASE = "base"  # what a reply's ``adapter`` says when the base model alone made it
_CHUNK = 500  # SQLite takes at least 999 parameters a statement

_COLUMNS = (
    "id, prompt, response, surprise, novelty, arousal, reward, conflict, total, session, phase, timestamp, metadata, tool_calls, "
    "prompt_key, own, example, usable, with_cards, reasons, cards, trimmed, source, added_at"
)
_INSERT = (
    f"INSERT INTO experiences ({_COLUMNS}, trained_by) VALUES ({', '.join('?' * 24)}, (SELECT cycle FROM trained WHERE experience_id = ?)) "
    "ON CONFLICT (id) DO NOTHING"
)


@dataclass(frozen=True)
class Told:
    """An exchange with what the ledger knows of it. ``trained_by``: the cycle that trained it, or None."""

    experience: Experience
    verdict: ScreenVerdict
    source: str
    added_at: datetime
    trained_by: int | None


class ExperienceLedger:
    """``ledger.experiences``."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def add(self, experience: Experience, verdict: ScreenVerdict, source: str, now: datetime) -> bool:
        """Record one experience; False when its id is known already, and then nothing changes."""
        return self._db.run(_INSERT, _row(experience, verdict, source, stamp(now))) == 1

    def add_many(self, judged: Iterable[tuple[Experience, ScreenVerdict]], source: str, now: datetime) -> int:
        """Record many in one transaction; returns how many were not known before."""
        at = stamp(now)
        return self._db.run_many(_INSERT, (_row(experience, verdict, source, at) for experience, verdict in judged))

    def unknown_ids(self, ids: Collection[str]) -> set[str]:
        """Those of ``ids`` that the ledger has not recorded."""
        unknown = set(ids)
        for chunk in _chunks(sorted(unknown)):
            known = self._db.rows(f"SELECT id FROM experiences WHERE id IN ({', '.join('?' * len(chunk))})", chunk)
            unknown.difference_update(row["id"] for row in known)
        return unknown

    def get(self, experience_id: str) -> Experience | None:
        row = self._db.row("SELECT * FROM experiences WHERE id = ?", (experience_id,))
        return None if row is None else _experience(row)

    def verdict(self, experience_id: str) -> ScreenVerdict | None:
        """What the screen made of it when it was added."""
        row = self._db.row("SELECT * FROM experiences WHERE id = ?", (experience_id,))
        return None if row is None else _verdict(row)

    def told(self, experience_id: str) -> Told | None:
        row = self._db.row("SELECT * FROM experiences WHERE id = ?", (experience_id,))
        return None if row is None else _told(row)

    def each_told(self, since: datetime | None = None) -> Iterator[Told]:
        """Every exchange whose text is still here, or those added ``since``, oldest first, one by one."""
        query = "SELECT * FROM experiences WHERE (response != '' OR prompt != '') AND added_at > ? ORDER BY seq"
        return (_told(row) for row in self._db.each(query, ("" if since is None else stamp(since),)))

    def untrained_cards(self) -> Iterator[tuple[Card, datetime]]:
        """The facts of what no cycle has trained yet, with when they came in; a fact told twice comes twice."""
        where = "usable = 1 AND with_cards = 1 AND trained_by IS NULL"
        for row in self._db.each(f"SELECT cards, added_at FROM experiences WHERE {where} ORDER BY seq"):
            yield from ((Card(**card), moment(row["added_at"])) for card in json.loads(row["cards"]))

    def states(self, card_id: str) -> bool:
        """Whether an exchange whose text is still here states this card."""
        return self._db.row("SELECT 1 FROM experiences WHERE with_cards = 1 AND instr(cards, ?) LIMIT 1", (card_id,)) is not None

    def forget(self, experience_id: str, kept: Iterable[Card], request: int) -> bool:
        """Take the text of an exchange away, but for the sentences of the facts that are ``kept``; its id stays known.

        False when the id is unknown. What was counted of it is counted anew: it is no example any more.
        """
        row = self._db.row("SELECT * FROM experiences WHERE id = ?", (experience_id,))
        if row is None:
            return False
        stays = tuple(kept)
        emptied: dict[str, Value] = {
            "prompt": _storable("\n".join(dict.fromkeys(card.quote for card in stays))),
            "response": "",
            "metadata": "{}",
            "tool_calls": "[]",
            "prompt_key": _prompt_key(experience_id),
            "example": False,
            "usable": bool(stays),
            "with_cards": bool(stays),
            "reasons": json.dumps(["forgotten"]),
            "cards": json.dumps([vars(card) for card in stays]),
            "trimmed": None,
            "forgotten": request,
        }
        values = {key: row[key] for key in row.keys()} | emptied  # noqa: SIM118  (a row iterates over its values)
        with self._db.transaction():  # removed and added again, so that the triggers count it
            self._db.run("DELETE FROM experiences WHERE id = ?", (experience_id,))
            self._db.run(f"INSERT INTO experiences ({', '.join(values)}) VALUES ({', '.join('?' * len(values))})", tuple(values.values()))
        return True

    def pending(self, limit: int | None = None) -> list[tuple[Experience, ScreenVerdict]]:
        """Usable ones that no committed cycle has trained, highest salience first, then oldest first."""
        rows = self._db.rows(
            "SELECT * FROM experiences WHERE usable = 1 AND trained_by IS NULL ORDER BY total DESC, seq LIMIT ?",
            (-1 if limit is None else limit,),
        )
        return [(_experience(row), _verdict(row)) for row in rows]

    def trained(self, limit: int | None = None) -> list[tuple[Experience, ScreenVerdict]]:
        """Usable ones that a committed cycle has trained, highest salience first: what a deep cycle learns again."""
        rows = self._db.rows(
            "SELECT * FROM experiences WHERE usable = 1 AND trained_by IS NOT NULL ORDER BY total DESC, seq LIMIT ?",
            (-1 if limit is None else limit,),
        )
        return [(_experience(row), _verdict(row)) for row in rows]

    def unread(self, limit: int) -> list[tuple[Experience, ScreenVerdict]]:
        """The newest that are neither example nor source of a fact as far as the patterns see; the night's model may see more."""
        query = "SELECT * FROM experiences WHERE usable = 0 AND trained_by IS NULL AND forgotten IS NULL ORDER BY seq DESC LIMIT ?"
        return [(_experience(row), _verdict(row)) for row in self._db.rows(query, (limit,))]

    def said_since(self, moment_: datetime) -> list[Card]:
        """The facts of exchanges that were trained and came in after ``moment_``, oldest first."""
        where = "with_cards = 1 AND trained_by IS NOT NULL AND forgotten IS NULL AND added_at > ?"
        rows = self._db.rows(f"SELECT cards FROM experiences WHERE {where} ORDER BY seq", (stamp(moment_),))
        return [Card(**card) for row in rows for card in json.loads(row["cards"])]

    def waiting(self, after: datetime | None, among: int) -> list[tuple[Experience, ScreenVerdict]]:
        """Pending ones of the last ``among`` that arrived, newest first; with ``after`` only what came in later."""
        rows = self._db.rows(
            "SELECT * FROM experiences WHERE seq > (SELECT COALESCE(MAX(seq), 0) FROM experiences) - ? "
            "AND usable = 1 AND trained_by IS NULL AND added_at > ? ORDER BY seq DESC",
            (among, "" if after is None else stamp(after)),
        )
        return [(_experience(row), _verdict(row)) for row in rows]

    def waiting_since(self) -> datetime | None:
        """When the oldest pending one came in."""
        oldest = "SELECT MIN(seq) FROM experiences WHERE usable = 1 AND trained_by IS NULL"
        row = self._db.row(f"SELECT added_at FROM experiences WHERE seq = ({oldest})")
        return None if row is None else moment(row["added_at"])

    def tail(self, count: int) -> list[Experience]:
        """The last ``count`` that arrived, oldest first; those that were forgotten have no text to look at."""
        rows = self._db.rows("SELECT * FROM experiences WHERE forgotten IS NULL ORDER BY seq DESC LIMIT ?", (count,))
        return [_experience(row) for row in reversed(rows)]

    def recent_replies(self, count: int) -> list[str]:
        """The replies of the last ``count`` that arrived, newest first."""
        query = "SELECT response FROM experiences WHERE forgotten IS NULL ORDER BY seq DESC LIMIT ?"
        return [row["response"] for row in self._db.rows(query, (count,))]

    def mark_trained(self, ids: Iterable[str], cycle: int) -> None:
        """Note that committed ``cycle`` trained these; ids that are not recorded yet are remembered for when they are."""
        chosen = [(cycle, experience_id) for experience_id in ids]
        with self._db.transaction():
            self._db.run_many("INSERT INTO trained (cycle, experience_id) VALUES (?, ?) ON CONFLICT (experience_id) DO NOTHING", chosen)
            self._db.run_many("UPDATE experiences SET trained_by = ? WHERE id = ? AND trained_by IS NULL", chosen)

    def release_trained(self, cycle: int) -> int:
        """Make what ``cycle`` trained pending again, because its adapter left service; returns how many."""
        with self._db.transaction():
            self._db.run("DELETE FROM trained WHERE cycle = ?", (cycle,))
            return self._db.run("UPDATE experiences SET trained_by = NULL WHERE trained_by = ?", (cycle,))

    def totals(self) -> Totals:
        row = self._db.row("SELECT experiences, usable, examples, with_cards, new FROM totals")
        return Totals(0, 0, 0, 0, 0) if row is None else Totals(*row)

    def own_count(self) -> int:
        """How many replies one of our own adapters made (their metadata says ``adapter``)."""
        row = self._db.row("SELECT own FROM totals")
        return 0 if row is None else int(row["own"])

    def prompt_count(self, prompt: str) -> int:
        """How many have this prompt, whatever its case and spacing."""
        row = self._db.row("SELECT n FROM tallies WHERE family = 'prompt' AND key = ?", (_prompt_key(prompt),))
        return 0 if row is None else int(row["n"])

    def session_counts(self) -> dict[int, int]:
        """How many each session has; those without a session are in none."""
        return {int(row["key"]): row["n"] for row in self._db.rows("SELECT key, n FROM tallies WHERE family = 'session'")}

    def session_count(self, session: int) -> int:
        row = self._db.row("SELECT n FROM tallies WHERE family = 'session' AND key = ?", (str(session),))
        return 0 if row is None else int(row["n"])

    def rejected_by_reason(self) -> dict[str, int]:
        """How many are no behaviour example, by reason (its part before a colon), most frequent first."""
        return {row["key"]: row["n"] for row in self._db.rows("SELECT key, n FROM tallies WHERE family = 'reason' ORDER BY n DESC, key")}


def _row(experience: Experience, verdict: ScreenVerdict, source: str, at: str) -> tuple[Value, ...]:
    s = experience.salience
    return (
        experience.id,
        _storable(experience.prompt),
        _storable(experience.response),
        *(s.surprise, s.novelty, s.arousal, s.reward, s.conflict, s.total),
        experience.session,
        experience.phase,
        experience.timestamp,
        json.dumps(dict(experience.metadata)),
        json.dumps([dict(call) for call in experience.tool_calls]),
        _prompt_key(experience.prompt),
        experience.metadata.get("adapter") not in (None, "", BASE),
        verdict.example,
        verdict.usable,
        bool(verdict.cards),
        json.dumps(verdict.reasons),
        json.dumps([vars(card) for card in verdict.cards]),
        verdict.trimmed,
        source,
        at,
        experience.id,
    )


def _told(row: sqlite3.Row) -> Told:
    return Told(_experience(row), _verdict(row), row["source"], moment(row["added_at"]), row["trained_by"])


def _experience(row: sqlite3.Row) -> Experience:
    return Experience(
        id=row["id"],
        prompt=row["prompt"],
        response=row["response"],
        salience=Salience(row["surprise"], row["novelty"], row["arousal"], row["reward"], row["conflict"], row["total"]),
        session=row["session"],
        phase=row["phase"],
        timestamp=row["timestamp"],
        metadata=json.loads(row["metadata"]),
        tool_calls=tuple(json.loads(row["tool_calls"])),
    )


def _verdict(row: sqlite3.Row) -> ScreenVerdict:
    return ScreenVerdict(
        row["id"], tuple(json.loads(row["reasons"])), tuple(Card(**card) for card in json.loads(row["cards"])), row["trimmed"]
    )


def _prompt_key(prompt: str) -> str:
    return hashlib.sha256(" ".join(prompt.casefold().split()).encode("utf-8", "replace")).hexdigest()[:16]


def _storable(text: str) -> str:
    """JSON may smuggle in half a surrogate pair, which SQLite cannot store."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _chunks(values: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(values), _CHUNK):
        yield values[start : start + _CHUNK]
