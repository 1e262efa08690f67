"""What is remembered, as JSON: the cards with their last probe, and the way from an answer back to the night. Reads only.

For the running daemon and for a command line that reads the ledger without one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sleepd.adapter.store import AdapterStore, cycle_id, cycle_number
from sleepd.cardlife import LIVING
from sleepd.errors import NotFoundError, StoreError
from sleepd.ledger import Ledger, Told
from sleepd.ledger.matching import best, card_text, holds_all
from sleepd.records import Card

MOST_ANSWERS = 5


def memories(ledger: Ledger, query: str = "", status: str | None = None) -> dict[str, Any]:
    """Every card that holds all words of ``query``, oldest first. Forgotten ones only when asked for by their status."""
    matches = holds_all(query) if query.strip() else None
    wanted = [card for card in _known(ledger) if (card.status == status if status else card.status != "forgotten")]
    summaries, last = ledger.cards.probe_summaries(), ledger.cards.last_probes()
    rows = []
    for card in wanted:
        if matches is not None and not matches(card_text(card)):
            continue
        probes, cycle = summaries.get(card.id), last.get(card.id)
        rows.append(
            _card(card)
            | {
                "last_probe": None if probes is None or cycle is None else {"cycle": cycle_id(cycle), "recalled": probes.last},
                "probes": 0 if probes is None else probes.probes,
                "misses": 0 if probes is None else probes.misses,
            }
        )
    return {"memories": rows}


def why(ledger: Ledger, store: AdapterStore, query: str) -> dict[str, Any]:
    """The cards that an answer or a question is about, each with its exchange and its nights. Raises NotFoundError."""
    found = best(query, [card for card in _known(ledger) if card.status != "forgotten"])
    if not found:
        raise NotFoundError(f"no memory is about {query!r}", "see `sleepd memories` for what there is")
    active = _active(store)
    return {"query": query, "active": active, "matches": [_origin(ledger, card, active) for card in found[:MOST_ANSWERS]]}


def _known(ledger: Ledger) -> list[Card]:
    """The cards of the ledger, and those that no night has seen yet; told again, a forgotten one is new."""
    cards = {card.id: card for card in ledger.cards.all()}
    for card, _ in ledger.experiences.untrained_cards():
        if card.id not in cards or cards[card.id].status == "forgotten":
            cards[card.id] = card
    return list(cards.values())


def _card(card: Card) -> dict[str, Any]:
    return {
        "id": card.id,
        "subject": card.subject,
        "relation": card.relation,
        "value": card.value,
        "quote": card.quote,
        "status": card.status,
        "told_at": card.time,
        "importance": card.importance,
        "read_by": card.origin,
    }


def _origin(ledger: Ledger, card: Card, active: str | None) -> dict[str, Any]:
    told = ledger.experiences.told(card.experience_id)
    nights = _nights(ledger, card)
    return {
        "card": _card(card),
        "exchange": None if told is None else _exchange(told),
        "nights": nights,
        "in_the_active_adapter": _held(card, nights, active),
    }


def _exchange(told: Told) -> dict[str, Any]:
    experience = told.experience
    return {
        "id": experience.id,
        "prompt": experience.prompt,
        "response": experience.response,
        "time": experience.timestamp,
        "session": experience.session,
        "buffer": told.source,
        "added_at": told.added_at.isoformat(),
    }


def _nights(ledger: Ledger, card: Card) -> list[dict[str, Any]]:
    """Every cycle that taught the card or asked for it, also those that the gate rejected, with what it found."""
    probes = {probe.cycle: probe for probe in ledger.cards.probes(card.id)}
    nights = []
    for row in ledger.cycles.mentioning(card.id):
        probe, asked = probes.pop(row.number, None), _asked(row.summary, card.id)
        if probe is None and asked is None:
            continue
        nights.append(
            {
                "cycle": cycle_id(row.number),
                "number": row.number,
                "kind": row.kind,
                "verdict": row.verdict,
                "finished_at": None if row.finished_at is None else row.finished_at.isoformat(),
                "taught": probe.taught if probe is not None else asked is not None and asked[0],
                "recalled": probe.recalled if probe is not None else asked is not None and asked[1],
            }
        )
    for number, probe in probes.items():  # its report was written by an older version, or is gone
        cycle = ledger.cycles.find(number)
        verdict = None if cycle is None else cycle.verdict
        nights.append(
            {
                "cycle": cycle_id(number),
                "number": number,
                "kind": None if cycle is None else cycle.kind,
                "verdict": verdict,
                "finished_at": probe.at.isoformat(),
                "taught": probe.taught,
                "recalled": probe.recalled,
            }
        )
    return sorted(nights, key=lambda night: int(night["number"]))


def _asked(summary: Mapping[str, Any], card_id: str) -> tuple[bool, bool] | None:
    """Whether a night's report says that it taught a card, and that it was recalled; None when it did not ask for it."""
    evaluation = (summary.get("report") or {}).get("evaluation") or {}
    for name in ("new", "old"):
        for row in evaluation.get(name) or []:
            if row.get("card_id") == card_id:
                answer = row.get("candidate")
                recalled = sum(map(bool, answer)) * 4 >= 3 * len(answer) if isinstance(answer, list) else bool(answer)
                return name == "new", recalled
    return None


def _held(card: Card, nights: list[dict[str, Any]], active: str | None) -> bool:
    """Whether the adapter in service learned it: a committed night up to it taught the card, and nothing took it out since."""
    number = None if active is None else cycle_number(active)
    if number is None or card.status not in LIVING:
        return False
    return any(night["taught"] and night["verdict"] == "committed" and night["number"] <= number for night in nights)


def _active(store: AdapterStore) -> str | None:
    try:
        return store.active()
    except StoreError:
        return None
