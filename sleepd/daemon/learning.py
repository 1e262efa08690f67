"""What the ledger learns when an adapter is committed: from a night, or from a person's choice of another adapter.

Runs inside the transaction of COMMIT, so that all of it becomes durable together with the step, or nothing does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sleepd.adapter.store import AdapterStore, cycle_id, cycle_number
from sleepd.daemon import documents, steps_judge
from sleepd.daemon.context import Context, Run
from sleepd.errors import SleepdError
from sleepd.records import Card


def from_night(context: Context, run: Run, number: int) -> None:
    """Cards with their status and probes, what was trained, what was set aside, and the base that it all belongs to."""
    result, ledger, now = steps_judge.result_of(run), context.ledger, context.now()
    for row in result.get("cards", []):
        ledger.cards.put(_card(row), now)
    evaluation = result.get("evaluation", {})
    for row in (*evaluation.get("new", []), *evaluation.get("old", [])):
        if ledger.cards.get(row["card_id"]) is not None:
            ledger.cards.record_probe(row["card_id"], number, documents.recalled(row, "candidate"), now)
    ledger.experiences.mark_trained(result.get("experiences_used", []), number)
    for row in result.get("quarantined", []):
        ledger.quarantine.add("night", str(row["id"]), str(row["reason"]), "", now)
    ledger.values.set("pinned_base", result["base_sha256"])


def from_choice(context: Context, run: Run, manifest: Mapping[str, Any]) -> None:
    """What later cycles learned is out of service, so it is new again; what the chosen one learned is trained."""
    ledger, candidate, now = context.ledger, run.data["candidate"], context.now()
    chosen = 0 if candidate is None else (cycle_number(candidate) or 0)
    for row in ledger.cycles.committed():
        name = cycle_id(row.number)
        if row.number <= chosen:
            continue
        ledger.experiences.release_trained(row.number)
        for card_id in _card_ids(context.store, name):
            if _first_trained(ledger.cards.probes(card_id), row.number):
                ledger.cards.set_status(card_id, "new", now)
    if candidate is not None:
        ledger.experiences.mark_trained([str(i) for i in manifest.get("experience_ids", [])], chosen)
        for card_id in map(str, manifest.get("card_ids", [])):
            card = ledger.cards.get(card_id)
            if card is not None and card.status == "new":
                ledger.cards.set_status(card_id, "learning", now)
        base = manifest.get("base")
        if isinstance(base, Mapping):
            ledger.values.set("pinned_base", base.get("sha256"))
    elif run.data.get("accept_base") is not None:
        ledger.values.set("pinned_base", run.data["accept_base"])


def _card_ids(store: AdapterStore, name: str) -> list[str]:
    try:
        ids = store.manifest(name).get("card_ids", [])
    except SleepdError:
        return []  # pruned since: its cards are known by their later probes
    return [str(i) for i in ids] if isinstance(ids, list) else []


def _first_trained(probes: Any, number: int) -> bool:
    return bool(probes) and min(probe.cycle for probe in probes) >= number


def _card(row: Mapping[str, Any]) -> Card:
    names = Card.__dataclass_fields__
    return Card(**{key: value for key, value in row.items() if key in names})
