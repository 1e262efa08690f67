"""The ledger: what was experienced, decided, trained and served, in one SQLite database.

One process writes (the daemon); any number read. A ``Ledger`` belongs to the thread that opened it.
It stores and answers; it judges nothing, and it never touches an adapter, a buffer or a job.
"""

from sleepd.ledger.cards import CardLedger, Probe, ProbeSummary
from sleepd.ledger.cycles import CycleLedger, CycleRow, StepRow
from sleepd.ledger.decisions import DecisionLedger, DecisionRow
from sleepd.ledger.experiences import ExperienceLedger, Told
from sleepd.ledger.forgetting import Forget, ForgettingLedger, ForgottenCard
from sleepd.ledger.ledger import Ledger
from sleepd.ledger.quarantine import QuarantineLedger, QuarantineRow
from sleepd.ledger.sources import SourceLedger, SourceState
from sleepd.ledger.values import ValueLedger

__all__ = [
    "CardLedger",
    "CycleLedger",
    "CycleRow",
    "DecisionLedger",
    "DecisionRow",
    "ExperienceLedger",
    "Forget",
    "ForgettingLedger",
    "ForgottenCard",
    "Ledger",
    "Probe",
    "ProbeSummary",
    "QuarantineLedger",
    "QuarantineRow",
    "SourceLedger",
    "SourceState",
    "StepRow",
    "Told",
    "ValueLedger",
]
