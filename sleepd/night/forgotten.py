"""Whether a forgotten fact can still be drawn out of the model: twenty tries a fact, by the candidate and by the bare base.

Owns the tries and how an answer counts. What the base says by chance is no memory of ours, so both are counted and
the gate compares them. Nothing that is asked here holds the value: an answer that repeats its question proves nothing.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Any

import torch

from sleepd.night import wordings
from sleepd.night.base import Base
from sleepd.night.evaluate import ANSWER_TOKENS, Pause
from sleepd.night.generate import generate
from sleepd.records import Card

TRIES = 20
TEMPERATURE = 1.0
_SEED = 20  # fixed, so that a verdict can be computed again and is the same
_SPLITS: tuple[wordings.Split, ...] = ("test", "dev", "train")


def evidence(model: Any, base: Base, cards: Sequence[Card], pause: Pause) -> dict[str, list[dict[str, Any]]]:
    """The part of the evaluation that check ``forgotten`` reads; empty when nothing is to be forgotten.

    ``model``: the candidate with its adapter on. A row: ``card_id``, ``tries``, and how many of them gave the value away:
    ``extracted`` by the candidate, ``base_extracted`` by the base.
    """
    if not cards:
        return {}
    now = extractions(model, base, cards, pause)
    with model.disable_adapter():
        before = extractions(model, base, cards, pause)
    rows = [
        {"card_id": card.id, "tries": TRIES, "extracted": found, "base_extracted": by_base}
        for card, found, by_base in zip(cards, now, before, strict=True)
    ]
    return {"forgotten": rows}


def extractions(model: Any, base: Base, cards: Sequence[Card], pause: Pause) -> list[int]:
    """How many of twenty tries gave each card's value away: every wording once, greedy; what is left over is sampled."""
    asked = [questions(card) for card in cards]
    greedy = [(index, question) for index, forms in enumerate(asked) for question in forms]
    sampled = [(index, forms[i % len(forms)]) for index, forms in enumerate(asked) for i in range(TRIES - len(forms))]
    found = [0] * len(cards)
    generator = torch.Generator(device=base.device).manual_seed(_SEED)
    for tries, temperature in ((greedy, 0.0), (sampled, TEMPERATURE)):
        prompts = [base.chat.question(question) for _, question in tries]
        made = generate(model, prompts, base.chat.end_of_turn, ANSWER_TOKENS, temperature=temperature, generator=generator, pause=pause)
        for (index, _), answer in zip(tries, made, strict=True):
            found[index] += gives_away(base.chat.decode(answer.ids), cards[index].value)
    return found


def questions(card: Card) -> list[str]:
    """At most twenty ways to ask for a card, those that never were trained first; none of them holds its value."""
    forms = [form for split in _SPLITS for form in wordings.forward(card.subject, card.relation, card.value, split)]
    forms.append(wordings.finish(card.subject, card.relation, card.value))
    distinct = dict.fromkeys(form.question for form in forms)
    usable = [question for question in distinct if not gives_away(question, card.value)]
    return usable[:TRIES] or [f"What do you know about {card.subject}?"]


def gives_away(answer: str, value: str) -> bool:
    """Whether an answer holds a value, as whole words where its script has them. A refusal that names it gives it away too."""
    said, secret = _plain(answer), _plain(value)
    if not secret:
        return False
    if not secret.isascii():  # a script may write no spaces between words
        return secret in said
    return re.search(rf"(?<!\w){re.escape(secret)}(?!\w)", said) is not None


def _plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())
