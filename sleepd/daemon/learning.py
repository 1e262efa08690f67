"""What the ledger learns when an adapter is committed: from a night, or from a person's choice of another adapter.

Runs inside the transaction of COMMIT, so that all of it becomes durable together with the step, or nothing does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from sleepd import cardlife
from sleepd.adapter.store import AdapterStore, cycle_id, cycle_number
from sleepd.cardlife import Life
from sleepd.daemon import documents, dreams, steps_judge
from sleepd.daemon.context import Context, Run
from sleepd.errors import SleepdError
from sleepd.ledger.forgetting import BASE
from sleepd.records import Card


def from_night(context: Context, run: Run, number: int) -> None:
    """Cards with their status and probes, what was trained, what was set aside, and the base that it all belongs to."""
    result, ledger, now = steps_judge.result_of(run), context.ledger, context.now()
    asked = _asked_for(result.get("evaluation", {}), result.get("cards", []))
    for row in result.get("cards", []):
        life = _life(ledger.cards.life(row["id"]), row, asked.get(row["id"]))
        ledger.cards.put(replace(_card(row), status=life.status), now)
    losses = {row["card_id"]: row["loss"] for row in result.get("evaluation", {}).get("old", []) if isinstance(row.get("loss"), float)}
    for card_id, probe in asked.items():
        if ledger.cards.get(card_id) is not None:
            ledger.cards.record_probe(card_id, number, probe.recalled, now, losses.get(card_id), taught=probe.taught)
    dreams.remember(ledger, result, number, now)
    ledger.experiences.mark_trained(result.get("experiences_used", []), number)
    for row in result.get("quarantined", []):
        ledger.quarantine.add("night", str(row["id"]), str(row["reason"]), "", now)
    ledger.values.set("pinned_base", result["base_sha256"])
    if run.kind == "deep":
        ledger.forgetting.settle(run.name, number, result.get("evaluation", {}).get("forgotten", []), now)


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
                ledger.cards.set_status(card_id, cardlife.after(ledger.cards.life(card_id), "withdrawn").status, now)
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
    if candidate is None and ledger.experiences.totals().usable == 0 and not ledger.cards.living():
        ledger.forgetting.settle(BASE, context.store.next_number(ledger.cycles.highest()), [], now)  # nothing to make anew


@dataclass(frozen=True)
class _Asked:
    """What the evaluation found of one card."""

    recalled: bool
    taught: bool


def _asked_for(evaluation: Mapping[str, Any], cards: list[Mapping[str, Any]]) -> dict[str, _Asked]:
    """Every card that the evaluation asked for. The night taught the new ones, and the earlier ones that it says it did."""
    taught = {row["id"] for row in cards if row.get("taught")}
    old = {row["card_id"]: _Asked(documents.recalled(row, "candidate"), row["card_id"] in taught) for row in evaluation.get("old", [])}
    return old | {row["card_id"]: _Asked(documents.recalled(row, "candidate"), True) for row in evaluation.get("new", [])}


def _life(before: Life, row: Mapping[str, Any], asked: _Asked | None) -> Life:
    """A card's life after the night. What was asked for is counted here; the child only proposes a status."""
    if row["status"] == "superseded":
        return cardlife.after(before, "corrected")
    if asked is None:
        return Life(row["status"], before.misses)
    return cardlife.after(before, "taught" if asked.taught else "probed", recalled=asked.recalled)


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
