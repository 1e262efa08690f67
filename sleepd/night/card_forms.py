"""The wordings of one card: those that are trained, those that choose, and those that examine. No form is in two of them."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sleepd.night import wordings
from sleepd.night.chat import ChatFormat
from sleepd.night.generate import generate
from sleepd.night.paraphrase import accepted, paraphrases
from sleepd.night.progress import Reporter
from sleepd.night.score import is_refusal
from sleepd.night.wordings import Wording
from sleepd.records import Card

PARAPHRASED_A_CARD = 3
MOST_PARAPHRASED = 300


def train_wordings(
    card: Card, rng: random.Random, distractors: Sequence[str], reversible: bool, negatives: Sequence[str] = ()
) -> list[Wording]:
    """Sixteen or more wordings of the train family: direct, indirect, completion, yes/no, reverse.

    ``negatives``: values that once held; each is denied. Otherwise one of ``distractors`` is.
    """
    forms = wordings.forward(card.subject, card.relation, card.value, "train")
    forms += wordings.further(card.subject, card.relation, card.value)
    forms.append(wordings.finish(card.subject, card.relation, card.value))
    false = list(negatives) or [d for d in distractors if d.lower() != card.value.lower()]
    chosen = list(negatives) or ([rng.choice(false)] if false else [])
    for value in chosen:
        yes, no = wordings.yes_no(card.subject, card.relation, card.value, value)
        forms += [no] if value != chosen[0] else [yes, no]
    if reversible:
        forms += wordings.reverse(card.subject, card.relation, card.value, "train")
    return forms


def brought_wordings(card: Card, questions: Sequence[str]) -> list[Wording]:
    """Wordings that somebody brought for this card, all of them trained."""
    answer = wordings.answer(card.subject, card.relation, card.value)
    return [Wording(question, answer, (card.value,), "direct", "train") for question in questions]


def two_at_once(first: Wording, second: Wording) -> Wording:
    """Two questions in one message, answered one after the other."""
    return Wording(
        f"{first.question} {second.question}", f"{first.answer} {second.answer}", (*first.accept, *second.accept), first.kind, "train"
    )


def in_other_words(
    model: Any, chat: ChatFormat, forms: Mapping[str, Sequence[Wording]], cards: Sequence[Card], reporter: Reporter
) -> dict[str, list[Wording]]:
    """More wordings of some of each card's direct questions, by the base itself: card id -> those that were accepted."""
    chosen = [(card, form) for card in cards for form in [f for f in forms[card.id] if f.kind == "direct"][:PARAPHRASED_A_CARD]]
    chosen = chosen[:MOST_PARAPHRASED]
    made = paraphrases(model, chat, [form.question for _, form in chosen], reporter.checkpoint)
    found: dict[str, list[Wording]] = {}
    for (card, form), text in zip(chosen, made, strict=True):
        kept = {w.question for w in (*dev_wordings(card), *test_wordings(card))}
        known = {w.question for w in (*forms[card.id], *found.get(card.id, ()))}
        if text is not None and text not in known and accepted(form.question, text, card, kept) is None:
            found.setdefault(card.id, []).append(replace(form, question=text))
    return found


def test_wordings(card: Card) -> tuple[Wording, ...]:
    """The four gate wordings: two direct and two indirect ones."""
    forms = wordings.forward(card.subject, card.relation, card.value, "test")
    direct = [w for w in forms if w.kind == "direct"][:2]
    indirect = [w for w in forms if w.kind == "indirect"]
    return (*direct, *indirect[:: max(1, len(indirect) - 1)][:2])


def dev_wordings(card: Card) -> tuple[Wording, ...]:
    return tuple(wordings.forward(card.subject, card.relation, card.value, "dev"))


def reversible_cards(model: Any, chat: ChatFormat, cards: Sequence[Card], every: Sequence[Card], reporter: Reporter) -> set[str]:
    """Cards whose value belongs to one subject: in the ledger, and as far as the base knows.

    A base that names somebody when asked "who ..." has an owner of its own for the value; training
    another answer to the same question would fight what it knows.
    """
    owners: dict[tuple[str, str], set[str]] = {}
    for card in every:
        owners.setdefault((card.relation, card.value.lower()), set()).add(card.subject.lower())
    single = [c for c in cards if len(owners[c.relation, c.value.lower()]) == 1]
    if not single:
        return set()
    asked = [wordings.reverse(c.subject, c.relation, c.value, "train")[0].question for c in single]
    answers = generate(model, [chat.question(q) for q in asked], chat.end_of_turn, 32, pause=reporter.checkpoint)
    return {c.id for c, a in zip(single, answers, strict=True) if is_refusal(chat.decode(a.ids))}
