"""How far each experience buffer has been read, so that looking again costs only what is new."""

from __future__ import annotations

from dataclasses import astuple, dataclass

from sleepd.ledger.database import Database


@dataclass(frozen=True)
class SourceState:
    """A buffer as it was last read. ``offset``: bytes of the prefix whose hash is ``prefix_sha256``.

    ``changed_at``: ISO 8601 time of the last change seen, or None; ``error``: why it cannot be read now, or None.
    """

    path: str
    size: int
    mtime_ns: int
    inode: int
    form: str
    offset: int
    entries: int
    prefix_sha256: str
    changed_at: str | None
    error: str | None


class SourceLedger:
    """``ledger.sources``."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def get(self, path: str) -> SourceState | None:
        row = self._db.row("SELECT * FROM sources WHERE path = ?", (path,))
        return None if row is None else SourceState(*row)

    def put(self, state: SourceState) -> None:
        self._db.run("INSERT OR REPLACE INTO sources VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", astuple(state))

    def all(self) -> list[SourceState]:
        return [SourceState(*row) for row in self._db.rows("SELECT * FROM sources ORDER BY path")]
