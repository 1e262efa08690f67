"""``forgotten.json``: what was forgotten, beside the ledger, so that a ledger that is lost does not bring it back.

Holds the ids of the exchanges, which are hashes, the sentences of theirs that were to stay, and the requests with their
receipts. A fact is in it only while its request waits for a deep cycle, as in the ledger itself.
"""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

from sleepd.durable import write_atomic
from sleepd.errors import LedgerError
from sleepd.ledger.database import Database
from sleepd.ledger.ledger import Ledger

FILE = "forgotten.json"
FORMAT = 1
_PARTS = {
    "exchanges": ("experiences", "SELECT * FROM experiences WHERE forgotten IS NOT NULL ORDER BY seq"),
    "requests": ("forgets", "SELECT * FROM forgets ORDER BY number"),
    "cards": ("forgotten_cards", "SELECT * FROM forgotten_cards ORDER BY forget, card_id"),
}
_NOT_KEPT = ("seq", "trained_by")
"""Columns of an exchange that the rebuilt ledger numbers, and reads from the cycles' records, itself."""


def write_tombstones(ledger: Ledger, path: Path) -> None:
    """Write them durably; no file where nothing was ever forgotten. Raises StoreError when it cannot be written."""
    document: dict[str, object] = {"format": FORMAT}
    for name, (_, query) in _PARTS.items():
        document[name] = [{key: row[key] for key in row.keys() if key not in _NOT_KEPT} for row in ledger.database.rows(query)]  # noqa: SIM118
    if document["requests"] or path.exists():
        write_atomic(path, json.dumps(document, ensure_ascii=False) + "\n")


def restore_tombstones(ledger: Ledger, path: Path) -> int:
    """Bury again what the file names, before a buffer is read; returns how many requests it holds, 0 without a file.

    Raises LedgerError when the file cannot be used: a ledger that goes on without it would learn again what was forgotten.
    """
    try:
        document = json.loads(path.read_bytes())
        if document["format"] != FORMAT:
            raise ValueError(f"format {document['format']!r} is not {FORMAT}")
        with ledger.transaction():
            for name, (table, _) in _PARTS.items():
                for row in document[name]:
                    _insert(ledger.database, table, row)
    except FileNotFoundError:
        return 0
    except (OSError, ValueError, KeyError, TypeError, AttributeError, sqlite3.Error) as error:
        raise LedgerError(
            f"cannot read {path}, which names what was forgotten: {error}",
            "restore it from a backup, or remove it and forget those memories again",
        ) from error
    return len(document["requests"])


def _insert(database: Database, table: str, row: dict[str, str | int | float | None]) -> None:
    known = {found["name"] for found in database.rows(f"PRAGMA table_info({table})")}
    if unknown := set(row) - known:
        raise ValueError(f"{table} has no {', '.join(sorted(unknown))}")
    marks = ", ".join("?" * len(row))
    database.run(f"INSERT OR IGNORE INTO {table} ({', '.join(row)}) VALUES ({marks})", tuple(row.values()))
