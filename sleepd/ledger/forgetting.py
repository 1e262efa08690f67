"""What people asked to forget: the tombstones, what still has to be proved, and the receipts.

A request changes the ledger in one transaction: the texts are gone when ``ask`` returns, and nothing happened when it
does not. What lies outside the ledger (adapters, file pages) is cleared afterwards and may be repeated; a request
counts as cleared only when somebody says so with ``cleared``.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from sleepd.ledger import scrub
from sleepd.ledger.database import Database, moment, stamp
from sleepd.ledger.dreams import DreamLedger
from sleepd.ledger.experiences import ExperienceLedger
from sleepd.ledger.matching import FORGOTTEN, Test, plain, speaks_of
from sleepd.records import Card

COMPACT = "compact_ledger"
"""The value that is set while free pages of the file may still hold what was deleted."""

NEVER_TRAINED = "never trained"
NOT_SERVED = "not served"
BASE = "base"


@dataclass(frozen=True)
class ForgottenCard:
    """``card`` holds the fact until the receipt, None afterwards. Without ``tries`` it was not asked for."""

    card_id: str
    card: Card | None
    tries: int | None
    extracted: int | None
    base_extracted: int | None


@dataclass(frozen=True)
class Forget:
    """One request. Cycle numbers: ``seen``, the first that may have trained on it; ``since``, the first whose adapter may
    hold it (None: none may); ``until``, the first after that whose adapter does not (None: not settled yet).

    ``settled_by``: the deep cycle's id, BASE, NEVER_TRAINED or NOT_SERVED. ``removed``: adapters that went with it.
    ``left_in``: files that still hold it and that are not ours to change.
    """

    number: int
    asked_at: datetime
    asked_by: str
    exchanges: int
    seen: int | None
    since: int | None
    until: int | None
    settled_at: datetime | None
    settled_by: str | None
    cleared_at: datetime | None
    removed: tuple[str, ...]
    left_in: tuple[str, ...]
    cards: tuple[ForgottenCard, ...]

    @property
    def memories(self) -> int:
        """How many memories it is about: its facts, or one when only exchanges without a fact were meant."""
        return max(len(self.cards), 1)


class ForgettingLedger:
    """``ledger.forgetting``."""

    def __init__(self, database: Database, experiences: ExperienceLedger, dreams: DreamLedger) -> None:
        self._db = database
        self._experiences = experiences
        self._dreams = dreams

    def ask(
        self,
        cards: Sequence[Card],
        exchanges: Mapping[str, Sequence[Card]],
        by: str,
        now: datetime,
        *,
        seen: int | None,
        since: int | None,
        settled_by: str | None,
        until: int | None,
    ) -> int:
        """Forget these cards and exchanges; returns the number of the request. ``exchanges``: the facts that stay, by id.

        ``settled_by``: why no deep cycle is needed, or None when the adapter in service may hold it.
        """
        settled_at = None if settled_by is None else stamp(now)
        speaks = scrub.speaker(cards)
        with self._db.transaction():
            self._db.run(
                "INSERT INTO forgets (asked_at, asked_by, exchanges, seen, since, until, settled_at, settled_by) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (stamp(now), by, len(exchanges), seen, since, until, settled_at, settled_by),
            )
            number = int(self._db.rows("SELECT last_insert_rowid()")[0][0])
            for card in cards:
                self._db.run(
                    "INSERT INTO forgotten_cards (forget, card_id, card) VALUES (?, ?, ?)", (number, card.id, json.dumps(asdict(card)))
                )
                self._bury(card.id, now)
            for exchange, kept in exchanges.items():
                self._experiences.forget(exchange, (_unquoted(card, speaks) for card in kept), number)
            self._dreams.purge([card.id for card in cards])
            scrub.everywhere(self._db, cards, exchanges)
            self._db.run("INSERT OR REPLACE INTO vals VALUES (?, ?)", (COMPACT, "true"))
        return number

    def _bury(self, card_id: str, now: datetime) -> None:
        self._db.run(
            "UPDATE cards SET subject = ?, relation = ?, value = ?, quote = ?, time = NULL, session = NULL, status = 'forgotten', "
            "changed_at = ? WHERE id = ?",
            (*([FORGOTTEN] * 4), stamp(now), card_id),
        )
        self._db.run("DELETE FROM probes WHERE card_id = ?", (card_id,))

    # -- until the receipt ------------------------------------------------------------------------------------

    def pending(self) -> list[Forget]:
        """Requests whose memories may still be in the weights in service, oldest first."""
        return self._forgets("WHERE settled_at IS NULL")

    def still_in_the_weights(self) -> list[int]:
        """How many memories each pending request is about."""
        rows = self._db.rows(
            "SELECT MAX(1, COUNT(c.card_id)) AS n FROM forgets AS f LEFT JOIN forgotten_cards AS c ON c.forget = f.number "
            "WHERE f.settled_at IS NULL GROUP BY f.number ORDER BY f.number"
        )
        return [row["n"] for row in rows]

    def to_ask_for(self) -> list[Card]:
        """The facts that a deep cycle must be unable to say. One that was told again since may be learned anew."""
        asked = {item.card.id: (item.card, forget.asked_at) for forget in self.pending() for item in forget.cards if item.card is not None}
        return [card for card, at in asked.values() if not self._told_again(card, at)]

    def _told_again(self, card: Card, asked_at: datetime) -> bool:
        """Whether an exchange that came later states the fact, in a sentence that is a card or in other words."""
        if self._experiences.states(card.id):
            return True
        speaks = speaks_of(card)
        return any(speaks(plain(told.experience.prompt)) for told in self._experiences.each_told(asked_at))

    def settle(self, by: str, until: int, found: Iterable[Mapping[str, Any]], now: datetime) -> list[int]:
        """Close every pending request: an adapter without it is in service. ``found``: rows of the evaluation; returns their numbers."""
        rows = {str(row["card_id"]): row for row in found}
        pending = self.pending()
        with self._db.transaction():
            for forget in pending:
                self._db.run(
                    "UPDATE forgets SET settled_at = ?, settled_by = ?, until = ? WHERE number = ?", (stamp(now), by, until, forget.number)
                )
                for item in forget.cards:
                    row = rows.get(item.card_id)
                    if row is not None:
                        self._db.run(
                            "UPDATE forgotten_cards SET tries = ?, extracted = ?, base_extracted = ? WHERE forget = ? AND card_id = ?",
                            (int(row["tries"]), int(row["extracted"]), int(row["base_extracted"]), forget.number, item.card_id),
                        )
        return [forget.number for forget in pending]

    # -- clearing up ------------------------------------------------------------------------------------------

    def uncleared(self) -> list[Forget]:
        """Requests with something left to remove, or to look for, outside the ledger."""
        return self._forgets("WHERE cleared_at IS NULL")

    def cleared(self, number: int, removed: Collection[str], left_in: Collection[str], now: datetime) -> None:
        """Note what was removed and what still holds it. Of a settled request the facts themselves go now, too."""
        with self._db.transaction():
            before = self._forgets("WHERE number = ?", number)[0]
            gone = list(dict.fromkeys((*before.removed, *removed)))
            self._db.run(
                "UPDATE forgets SET removed = ?, left_in = ?, cleared_at = CASE WHEN settled_at IS NULL THEN NULL ELSE ? END "
                "WHERE number = ?",
                (json.dumps(gone), json.dumps(list(left_in)), stamp(now), number),
            )
            if before.settled_at is not None:
                self._db.run("UPDATE forgotten_cards SET card = NULL WHERE forget = ?", (number,))
                self._db.run("INSERT OR REPLACE INTO vals VALUES (?, ?)", (COMPACT, "true"))

    def compact(self) -> bool:
        """Rewrite the file if it may hold deleted texts; False when a reader is in the way and it must be tried again."""
        if self._db.row("SELECT 1 FROM vals WHERE key = ?", (COMPACT,)) is None:
            return True
        if not self._db.compact():
            return False
        self._db.run("DELETE FROM vals WHERE key = ?", (COMPACT,))
        return True

    # -- receipts ---------------------------------------------------------------------------------------------

    def all(self) -> list[Forget]:
        """Every request, newest first."""
        return self._forgets("")[::-1]

    def get(self, number: int) -> Forget | None:
        found = self._forgets("WHERE number = ?", number)
        return found[0] if found else None

    def _forgets(self, where: str, *parameters: int) -> list[Forget]:
        rows = self._db.rows(f"SELECT * FROM forgets {where} ORDER BY number", parameters)
        return [_forget(row, self._db.rows("SELECT * FROM forgotten_cards WHERE forget = ?", (row["number"],))) for row in rows]


def _unquoted(card: Card, speaks: Test) -> Card:
    """A fact that stays, without a sentence that also says what goes."""
    return replace(card, quote=scrub.plainly(card)) if speaks(plain(card.quote)) else card


def _forget(row: sqlite3.Row, cards: Sequence[sqlite3.Row]) -> Forget:
    return Forget(
        number=row["number"],
        asked_at=moment(row["asked_at"]),
        asked_by=row["asked_by"],
        exchanges=row["exchanges"],
        seen=row["seen"],
        since=row["since"],
        until=row["until"],
        settled_at=None if row["settled_at"] is None else moment(row["settled_at"]),
        settled_by=row["settled_by"],
        cleared_at=None if row["cleared_at"] is None else moment(row["cleared_at"]),
        removed=tuple(json.loads(row["removed"])),
        left_in=tuple(json.loads(row["left_in"])),
        cards=tuple(_card(card) for card in cards),
    )


def _card(row: sqlite3.Row) -> ForgottenCard:
    card = None if row["card"] is None else Card(**json.loads(row["card"]))
    return ForgottenCard(row["card_id"], card, row["tries"], row["extracted"], row["base_extracted"])
