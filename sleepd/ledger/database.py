"""The SQLite connection: opening, upgrading, transactions, and errors with a remedy.

Owns every pragma and every translation of sqlite3's errors. The families hand it SQL; nobody else
talks to sqlite3.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from sleepd.errors import LedgerError, NotFoundError
from sleepd.ledger.schema import MIGRATIONS, VERSION

Value = str | int | float | None
BUSY_SECONDS = 5.0
WAL_LIMIT_BYTES = 16 * 1024 * 1024
_NEARLY_FULL_BYTES = 256 * 1024
_PRIMARY = 0xFF  # SQLite's extended result codes carry the primary one in the low byte


class Database:
    """One connection. Reads see the last commit; writes outside ``transaction`` commit one by one."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self.connection = connection
        self._depth = 0

    @classmethod
    def open(cls, path: Path, readonly: bool) -> Database:
        if readonly and not path.exists():
            raise NotFoundError(f"no ledger at {path}", "start the daemon once, or name the right state directory")
        database = cls(path, _connect(path, readonly))
        try:
            if readonly:
                database._check_version()
            else:
                database._prepare()
        except BaseException:
            database.close()
            raise
        return database

    def close(self) -> None:
        self.connection.close()

    def rows(self, sql: str, parameters: Sequence[Value] = ()) -> list[sqlite3.Row]:
        with self._explained():
            return self.connection.execute(sql, parameters).fetchall()

    def row(self, sql: str, parameters: Sequence[Value] = ()) -> sqlite3.Row | None:
        found = self.rows(sql, parameters)
        return found[0] if found else None

    def each(self, sql: str, parameters: Sequence[Value] = ()) -> Iterator[sqlite3.Row]:
        """Rows one by one, for a table that does not fit a small machine's memory. Write nothing while it is read."""
        with self._explained():
            yield from self.connection.execute(sql, parameters)

    def run(self, sql: str, parameters: Sequence[Value] = ()) -> int:
        """Execute one write; returns how many rows it touched."""
        with self._explained():
            return self.connection.execute(sql, parameters).rowcount

    def run_many(self, sql: str, parameters: Iterable[Sequence[Value]]) -> int:
        """Execute one write for many rows, all of them or none; returns how many it touched."""
        with self.transaction(), self._explained():
            return self.connection.executemany(sql, parameters).rowcount

    def compact(self) -> bool:
        """Rewrite the file without what was deleted from it, and empty the log beside it.

        False when a reader still holds an older state open: the log keeps its old pages until it is tried again.
        """
        with self._explained():
            self.connection.execute("VACUUM")
            busy = self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        return busy is None or busy[0] == 0

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """BEGIN IMMEDIATE ... COMMIT; inside another one a savepoint, so that a caught failure undoes only its own part."""
        outer = self._depth == 0
        mark = f"level_{self._depth}"
        with self._explained():
            self.connection.execute("BEGIN IMMEDIATE" if outer else f"SAVEPOINT {mark}")
        self._depth += 1
        try:
            yield
            with self._explained():
                self.connection.execute("COMMIT" if outer else f"RELEASE {mark}")
        except BaseException:
            if self.connection.in_transaction:  # SQLite itself rolls back on a full disk
                self.connection.execute("ROLLBACK" if outer else f"ROLLBACK TO {mark}")
                if not outer:
                    self.connection.execute(f"RELEASE {mark}")
            raise
        finally:
            self._depth -= 1

    def _version(self) -> int:
        found = self.row("PRAGMA user_version")
        return int(found[0]) if found else 0

    def _check_version(self) -> None:
        version = self._version()
        if version > VERSION:
            raise LedgerError(
                f"ledger {self.path} has format {version}, this sleepd knows up to {VERSION}",
                "install the sleepd that wrote it, or a newer one",
            )
        if version < VERSION:
            raise LedgerError(
                f"ledger {self.path} has format {version}, this sleepd reads {VERSION}", "start the daemon once: it upgrades the ledger"
            )

    def _prepare(self) -> None:
        # secure_delete: what is deleted is overwritten, because some of it is what a person wants forgotten
        settings = ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", "secure_delete = ON")
        for pragma in (*settings, f"journal_size_limit = {WAL_LIMIT_BYTES}"):
            self.row(f"PRAGMA {pragma}")
        if self._version() < VERSION:
            with self.transaction():
                # read again under the lock: another writer may just have upgraded it
                for number, statements in enumerate(MIGRATIONS[self._version() :], self._version() + 1):
                    for statement in statements:
                        self.run(statement)
                    self.run(f"PRAGMA user_version = {number}")
        self._check_version()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.ProgrammingError, sqlite3.IntegrityError):
            raise  # a defect of ours, not of the database
        except sqlite3.DatabaseError as error:
            raise _explain(error, self.path) from error


def stamp(now: datetime) -> str:
    """An aware moment as the ledger stores it: UTC, ISO 8601 with offset."""
    if now.tzinfo is None:
        raise ValueError(f"the ledger stores aware times only, not {now.isoformat()}")
    return now.astimezone(UTC).isoformat()


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _connect(path: Path, readonly: bool) -> sqlite3.Connection:
    uri = f"file:{quote(str(path.absolute()))}?mode={'ro' if readonly else 'rwc'}"
    # A reader that may not write beside the file cannot take part in WAL. Where no WAL lies there, nobody
    # is writing, and the file may be read as it is.
    if readonly and not os.access(path.parent, os.W_OK) and not path.with_name(path.name + "-wal").exists():
        uri += "&immutable=1"
    try:
        connection = sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None)
    except sqlite3.DatabaseError as error:
        raise _explain(error, path) from error
    connection.row_factory = sqlite3.Row
    return connection


def _explain(error: sqlite3.DatabaseError, path: Path) -> LedgerError:
    code = getattr(error, "sqlite_errorcode", 0) & _PRIMARY
    if code == sqlite3.SQLITE_FULL or (code == sqlite3.SQLITE_IOERR and _nearly_full(path)):
        return LedgerError(
            f"cannot write ledger {path}: the disk is full",
            f"free some space on the file system of {path.parent}; nothing was half written",
        )
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return LedgerError(
            f"ledger {path} is damaged: {error}",
            f"stop sleepd, move {path.name}* out of {path.parent} and start it again: "
            "the ledger is rebuilt from the cycles' records and the buffers",
        )
    remedies = {
        sqlite3.SQLITE_BUSY: "another process holds it; stop the other writer and try again",
        sqlite3.SQLITE_LOCKED: "another process holds it; stop the other writer and try again",
        sqlite3.SQLITE_READONLY: f"give this user write access to {path.parent}, or mount its file system read-write",
        sqlite3.SQLITE_CANTOPEN: f"create {path.parent} and give this user access to it",
        sqlite3.SQLITE_PERM: f"give this user access to {path}",
        sqlite3.SQLITE_IOERR: f"check the disk that holds {path.parent}: the kernel reported an input or output error",
    }
    return LedgerError(f"ledger {path}: {error}", remedies.get(code, f"check {path}"))


def _nearly_full(path: Path) -> bool:
    try:
        system = os.statvfs(path.parent)
    except OSError:
        return False
    return system.f_bavail * system.f_frsize < _NEARLY_FULL_BYTES
