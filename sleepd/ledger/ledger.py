"""Opens the ledger and hands out its families. Knows no SQL of its own."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType

from sleepd.ledger.cards import CardLedger
from sleepd.ledger.cycles import CycleLedger
from sleepd.ledger.database import Database
from sleepd.ledger.decisions import DecisionLedger
from sleepd.ledger.dreams import DreamLedger
from sleepd.ledger.experiences import ExperienceLedger
from sleepd.ledger.forgetting import ForgettingLedger
from sleepd.ledger.quarantine import QuarantineLedger
from sleepd.ledger.sources import SourceLedger
from sleepd.ledger.values import ValueLedger


class Ledger:
    """The database with one attribute a table family. Use ``Ledger.open``; it is a context manager."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.experiences = ExperienceLedger(database)
        self.sources = SourceLedger(database)
        self.quarantine = QuarantineLedger(database)
        self.cards = CardLedger(database)
        self.cycles = CycleLedger(database)
        self.decisions = DecisionLedger(database)
        self.dreams = DreamLedger(database)
        self.values = ValueLedger(database)
        self.forgetting = ForgettingLedger(database, self.experiences, self.dreams)

    @classmethod
    def open(cls, path: Path, readonly: bool = False) -> Ledger:
        """Open the ledger at ``path``; a writer creates or upgrades it first.

        Raises NotFoundError when ``readonly`` and there is no such file, LedgerError when it is damaged,
        was written by a newer sleepd, or (``readonly``) waits to be upgraded by the daemon.
        """
        return cls(Database.open(path, readonly))

    @property
    def path(self) -> Path:
        return self.database.path

    def transaction(self) -> AbstractContextManager[None]:
        """All writes inside become durable together, or none does. May be nested."""
        return self.database.transaction()

    def close(self) -> None:
        self.database.close()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
