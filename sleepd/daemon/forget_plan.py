"""What a person's query means when it comes to forgetting: which facts, which exchanges, which adapters. Changes nothing."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sleepd.adapter.store import AdapterStore, cycle_id, cycle_number
from sleepd.errors import NotFoundError, StoreError
from sleepd.ledger import Ledger, Told
from sleepd.ledger.matching import FORGOTTEN, card_text, holds_all, plain, speaks_of
from sleepd.records import Card

EXCERPT = 200


@dataclass(frozen=True)
class Plan:
    """``exchanges``: the facts that stay of each, by id. ``adapters``: those that may hold it, ``served`` one of them.

    Cycle numbers: ``seen``, the first that may have trained on it; ``since``, the first whose adapter may hold it; None
    when there is none.
    """

    cards: tuple[Card, ...]
    exchanges: Mapping[str, tuple[Card, ...]]
    seen: int | None
    since: int | None
    adapters: tuple[str, ...]
    served: bool


def find(ledger: Ledger, store: AdapterStore, query: str) -> Plan:
    """Facts that hold every word of ``query``; exchanges that state them, speak of them, or hold the words themselves.

    Raises NotFoundError when there are none.
    """
    matches = holds_all(query)
    cards = {card.id: card for card in ledger.cards.all() if card.status != "forgotten" and matches(card_text(card))}
    for told in ledger.experiences.each_told():
        for card in told.verdict.cards:
            if matches(card_text(card)):
                cards.setdefault(card.id, card)
    sources = {card.experience_id for card in cards.values()}
    tests = [matches, *(speaks_of(card) for card in cards.values())]

    def meant(told: Told) -> bool:
        if told.experience.id in sources or any(card.id in cards for card in told.verdict.cards):
            return True
        text = plain(f"{told.experience.prompt}\n{told.experience.response}")
        return any(test(text) for test in tests)

    plan = _plan(ledger, store, cards, [told for told in ledger.experiences.each_told() if meant(told)])
    if not plan.cards and not plan.exchanges:
        raise NotFoundError(f"nothing in the ledger matches {query!r}", "see `sleepd memories` for what there is")
    return plan


def of(ledger: Ledger, store: AdapterStore, card_ids: Collection[str], exchange_ids: Collection[str]) -> Plan:
    """The plan for exactly these, as a person has confirmed them. Raises NotFoundError when one of them is gone."""
    wanted = set(card_ids)
    cards = {card.id: card for card_id in wanted if (card := ledger.cards.get(card_id)) is not None and card.status != "forgotten"}
    exchanges = [told for told in map(ledger.experiences.told, exchange_ids) if told is not None]
    for told in exchanges:
        for card in told.verdict.cards:
            if card.id in wanted:
                cards.setdefault(card.id, card)
    if len(cards) < len(wanted) or len(exchanges) < len(set(exchange_ids)):
        raise NotFoundError("a memory that was to be forgotten is not in the ledger any more", "ask again")
    return _plan(ledger, store, cards, exchanges)


def _plan(ledger: Ledger, store: AdapterStore, cards: Mapping[str, Card], exchanges: list[Told]) -> Plan:
    stays = {told.experience.id: tuple(card for card in told.verdict.cards if card.id not in cards) for told in exchanges}
    since = _since(ledger, cards, exchanges)
    seen = _begun_after(ledger, min((told.added_at for told in exchanges), default=None))
    holders = [] if since is None else [number for number in store.numbers() if number >= since]
    adapters = tuple(cycle_id(number) for number in holders)
    firsts = [number for number in (seen, since) if number is not None]
    return Plan(tuple(cards.values()), stays, min(firsts, default=None), since, adapters, not kept(store).isdisjoint(holders))


def kept(store: AdapterStore) -> set[int]:
    """The numbers of the adapter in service and of the one to go back to: no memory is worth being without them."""
    names = []
    for link in (store.active, store.last_good):
        try:
            names.append(link())
        except StoreError:
            continue  # a broken link keeps nothing; `status` reports it
    return {number for name in names if name is not None and (number := cycle_number(name)) is not None}


def _since(ledger: Ledger, cards: Collection[str], exchanges: list[Told]) -> int | None:
    """The first committed cycle that taught one of the facts, or was given one of the exchanges."""
    cycles = [probe.cycle for card_id in cards for probe in ledger.cards.probes(card_id)]
    return min([*cycles, *(told.trained_by for told in exchanges if told.trained_by is not None)], default=None)


def _begun_after(ledger: Ledger, moment: datetime | None) -> int | None:
    if moment is None:
        return None
    return min((row.number for row in ledger.cycles.list() if row.started_at >= moment), default=None)


def document(ledger: Ledger, plan: Plan) -> dict[str, Any]:
    """The plan as ``forget --json`` shows it before anything is done."""
    tagged = {cycle_id(number) for number in ledger.cycles.tagged()}
    known = {card.id: card.status for card in ledger.cards.all()}
    return {
        "cards": [
            {
                "id": card.id,
                "subject": card.subject,
                "relation": card.relation,
                "value": card.value,
                "status": known.get(card.id, "new").replace("forgotten", "new"),
            }
            for card in plan.cards
        ],
        "exchanges": [_exchange(ledger, exchange, facts) for exchange, facts in plan.exchanges.items()],
        "in_the_weights": plan.served,
        "adapters": list(plan.adapters),
        "tagged": [adapter for adapter in plan.adapters if adapter in tagged],
    }


def _exchange(ledger: Ledger, exchange: str, facts: tuple[Card, ...]) -> dict[str, Any]:
    experience = ledger.experiences.get(exchange)
    prompt = FORGOTTEN if experience is None else experience.prompt
    return {
        "id": exchange,
        "time": None if experience is None else experience.timestamp,
        "prompt": prompt if len(prompt) <= EXCERPT else prompt[:EXCERPT] + "…",
        "facts_kept": [f"{card.subject}, {card.relation}: {card.value}" for card in facts],
    }
