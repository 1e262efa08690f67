"""Small single facts by name, as JSON: "paused", "pinned_base", "active" and their like."""

from __future__ import annotations

import json

from sleepd.ledger.database import Database


class ValueLedger:
    """``ledger.values``."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def get(self, key: str, default: object = None) -> object:
        row = self._db.row("SELECT value FROM vals WHERE key = ?", (key,))
        return default if row is None else json.loads(row["value"])

    def set(self, key: str, value: object) -> None:
        """``value``: anything JSON can say. Durable when it returns."""
        self._db.run("INSERT OR REPLACE INTO vals VALUES (?, ?)", (key, json.dumps(value)))

    def remove(self, key: str) -> None:
        self._db.run("DELETE FROM vals WHERE key = ?", (key,))
