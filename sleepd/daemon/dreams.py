"""The dream journal for people: what was dreamt, and the veto. Trains nothing; the next job carries the vetoes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sleepd.adapter.store import cycle_id
from sleepd.ledger import Ledger
from sleepd.ledger.dreams import DreamRow

DEFAULT_DREAMS = 20


def journal(ledger: Ledger, limit: int) -> dict[str, Any]:
    """The last dreams, newest first."""
    return {"dreams": [document(row) for row in ledger.dreams.list(limit)]}


def veto(ledger: Ledger, dream_id: str, by: str, now: datetime) -> dict[str, Any]:
    """Never dream this one again. ``still_in_the_weights``: it was trained, so a deep cycle is due. Raises NotFoundError."""
    row = ledger.dreams.veto(dream_id, by, now)
    return {"dream": document(row), "still_in_the_weights": ledger.dreams.in_the_weights(dream_id)}


def remember(ledger: Ledger, result: Mapping[str, Any], number: int, now: datetime) -> None:
    """Write down what a committed cycle dreamt."""
    for row in result.get("dreams", []):
        messages = [(str(role), str(content)) for role, content in row["messages"]]
        ledger.dreams.put(str(row["id"]), str(row["kind"]), [str(i) for i in row["card_ids"]], messages, number, now)


def document(row: DreamRow) -> dict[str, Any]:
    """One dream as JSON."""
    return {
        "id": row.id,
        "kind": row.kind,
        "cycle": cycle_id(row.cycle),
        "times": row.times,
        "dreamt_at": row.dreamt_at.isoformat(),
        "card_ids": list(row.card_ids),
        "messages": [{"role": role, "content": content} for role, content in row.messages],
        "vetoed_by": row.vetoed_by,
        "vetoed_at": None if row.vetoed_at is None else row.vetoed_at.isoformat(),
    }
