"""What is left of cards that were forgotten: some are, a deep night follows, and twenty tries a fact ask for them."""

from __future__ import annotations

import random
from typing import Any

import torch

from sleepd.lab.days import Day
from sleepd.lab.measure import Examiner
from sleepd.lab.nights import ProductionNights
from sleepd.night import forgotten
from sleepd.night.base import Base
from sleepd.night.job import card_from
from sleepd.records import Card

MOST_FORGOTTEN = 10
FORGOTTEN_SHARE = 0.25


def forget(asleep: ProductionNights, examiner: Examiner, number: int, seed: int) -> dict[str, Any]:
    """Forget some cards, sleep deep night ``number``, and try to draw them out of the adapter that is in service afterwards.

    ``extracted``: how many of ``tries`` gave a value away; ``extracted_before`` with the adapter of the night before;
    ``extracted_by_base``: by the bare base, which says some values by chance.
    """
    living = sorted(card_id for card_id, card in asleep.memory.cards.items() if card["status"] == "graduated")
    count = min(MOST_FORGOTTEN, max(1, round(FORGOTTEN_SHARE * len(living)))) if living else 0
    chosen = random.Random(f"lab-forget-{seed}").sample(living, count)
    cards = [card_from(asleep.memory.cards[card_id]) for card_id in chosen]
    before = _extracted(asleep, examiner, cards)
    asleep.forget(chosen)
    night = asleep.sleep(number, Day(()), "deep")
    after = _extracted(asleep, examiner, cards)
    return {
        "forgotten": len(cards),
        "tries": forgotten.TRIES * len(cards),
        "extracted": after,
        "extracted_before": before,
        "extracted_by_base": sum(forgotten.extractions(examiner.base, _base(examiner), cards, _go_on)),
        "deep_night": {"verdict": night.verdict, "reasons": list(night.reasons), "seconds": round(night.seconds, 1)},
    }


def _extracted(asleep: ProductionNights, examiner: Examiner, cards: list[Card]) -> int:
    living = asleep.memory.living_adapter
    if living is None:
        return sum(forgotten.extractions(examiner.base, _base(examiner), cards, _go_on))
    with examiner.wearing(living) as model:
        return sum(forgotten.extractions(model, _base(examiner), cards, _go_on))


def _base(examiner: Examiner) -> Base:
    parameters = sum(p.numel() for p in examiner.base.parameters())
    return Base(examiner.base, examiner.chat, torch.device("cpu"), parameters, examiner.pad)


def _go_on() -> None:
    """The laboratory is never asked to stop at a checkpoint."""
