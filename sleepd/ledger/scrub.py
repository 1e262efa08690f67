"""Takes forgotten facts out of what else the ledger kept: reports of cycles, notes of steps, quarantine, quotes.

Works inside the transaction of the forgetting. Figures stay: which cards a night asked for, and how many it knew.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from sleepd.ledger.cards import CardLedger
from sleepd.ledger.database import Database
from sleepd.ledger.matching import FORGOTTEN, Test, plain, speaks_of
from sleepd.records import Card

_DOCUMENTS = (("cycles", "number", "step_data"), ("cycles", "number", "summary"), ("cycles", "number", "reasons"), ("steps", "seq", "data"))


def speaker(cards: Sequence[Card]) -> Test:
    """A test of whether a plain text speaks of any of these cards."""
    tests = [speaks_of(card) for card in cards]
    return lambda text: any(test(text) for test in tests)


def everywhere(db: Database, cards: Sequence[Card], exchanges: Collection[str]) -> None:
    """Take these cards and exchanges out of every other table."""
    gone, speaks = {card.id for card in cards} | set(exchanges), speaker(cards)
    for table, key, column in _DOCUMENTS:
        changed = []
        for row in db.each(f"SELECT {key} AS key, {column} AS text FROM {table}"):
            document = json.loads(row["text"])
            if (clean := redacted(document, gone, speaks)) != document:
                changed.append((json.dumps(clean), row["key"]))
        db.run_many(f"UPDATE {table} SET {column} = ? WHERE {key} = ?", changed)
    _delete(db, "quarantine", ("kind", "key"), lambda row: row["key"] in gone or speaks(plain(f"{row['reason']} {_text(row['payload'])}")))
    quotes = [(plainly(card), card.id) for card in _quoting(db, speaks)]
    db.run_many("UPDATE cards SET quote = ? WHERE id = ?", quotes)


def plainly(card: Card) -> str:
    """A card as a sentence of its own, for where the quote that it came from is to be forgotten."""
    return f"{card.subject}, {card.relation}: {card.value}"


def redacted(value: Any, gone: Collection[str], speaks: Test) -> Any:
    """A document without the texts of the cards in ``gone`` and without sentences that speak of them."""
    if isinstance(value, str):
        return FORGOTTEN if speaks(plain(value)) else value
    if isinstance(value, list):
        return [redacted(item, gone, speaks) for item in value if not _is_card(item, gone)]
    if isinstance(value, Mapping):
        about = " ".join(str(value.get(key, "")) for key in ("subject", "relation"))
        clean = {key: redacted(item, gone, speaks) for key, item in value.items()}
        if isinstance(value.get("reason"), str) and speaks(plain(f"{about} {value['reason']}")):
            clean["reason"] = FORGOTTEN
        return clean
    return value


def _is_card(item: Any, gone: Collection[str]) -> bool:
    return isinstance(item, Mapping) and item.get("id") in gone and "value" in item


def _quoting(db: Database, speaks: Test) -> list[Card]:
    return [card for card in CardLedger(db).all() if card.status != "forgotten" and speaks(plain(card.quote))]


def _delete(db: Database, table: str, keys: tuple[str, ...], goes: Callable[[Any], bool]) -> None:
    where = " AND ".join(f"{key} = ?" for key in keys)
    doomed = [tuple(row[key] for key in keys) for row in db.each(f"SELECT * FROM {table}") if goes(row)]
    db.run_many(f"DELETE FROM {table} WHERE {where}", doomed)


def _text(document: str) -> str:
    """A JSON text with its escapes resolved; anything else as it is."""
    try:
        return json.dumps(json.loads(document), ensure_ascii=False)
    except ValueError:
        return document
