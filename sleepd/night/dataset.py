"""Turns curated cards and conversations into the night's material: many wordings a card, contrasts, replay, rehearsal."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from sleepd import cardlife
from sleepd.night import card_forms, wordings
from sleepd.night.chat import ChatFormat, Message
from sleepd.night.contrasts import ANSWER_TOKENS, contrast_questions, names_of, own_values, taken_back
from sleepd.night.curate import Curated
from sleepd.night.dream import Dream, dream
from sleepd.night.fit import Material
from sleepd.night.items import Item, balanced, make_item
from sleepd.night.job import KnownCard
from sleepd.night.presets import FitSettings
from sleepd.night.progress import Reporter
from sleepd.night.rehearsal import Pool, Rehearsed, Told, answered
from sleepd.night.wordings import Wording
from sleepd.records import Card

CONTRASTS_A_CARD = 120
MOST_CONTRASTS = 24_000
MOST_EARLIER_CONTRASTS = 3600
MOST_REPLAYED = 2400  # wordings of earlier cards a night: about as many as its steps have room for
CONVERSATIONS_A_CARD = 2
PAIRS_A_CARD = 2  # two facts asked at once
MORE_FOR_MISSED = 2  # a card that did not stick comes back with so many times the wordings in conversation and in pairs
FORGOTTEN_WEIGHT = 3  # a card that failed its last probe is replayed so many times as often
MOST_DREAMS = 200
LONGEST_ASIDE = 48  # tokens


@dataclass(frozen=True)
class Dataset:
    """What is trained and how cards are probed. ``dev``/``test``: card id -> wordings that are never trained."""

    material: Material
    dev: dict[str, tuple[Wording, ...]]
    test: dict[str, tuple[Wording, ...]]
    reverse_test: dict[str, tuple[Wording, ...]]
    dreams: tuple[Dream, ...] = ()


class Builder:
    """Makes the items of one night. ``model`` is the bare base."""

    def __init__(self, model: Any, chat: ChatFormat, pool: Pool, fit: FitSettings, seed: int, reporter: Reporter) -> None:
        self.model, self.chat, self.pool, self.fit, self.reporter = model, chat, pool, fit, reporter
        self.rng = random.Random(f"dataset-{seed}")
        self.asides = [r for r in pool.train if r.prompt and len(r.item.ids) <= LONGEST_ASIDE]

    def item(self, key: str, question: str, answer: str, weight: float, before: Sequence[tuple[str, str]] = ()) -> list[Item]:
        """One item, or none when it is too long. ``before``: exchanges of the conversation that came first."""
        turns = [turn for asked, reply in before for turn in (("user", asked), ("assistant", reply))]
        return self.conversation(key, [*turns, ("user", question), ("assistant", answer)], weight)

    def conversation(self, key: str, turns: Sequence[tuple[str, str]], weight: float) -> list[Item]:
        """Turns (role, content); the last one is the assistant's, and the loss lies on it alone."""
        messages: list[Message] = [{"role": role, "content": content} for role, content in turns[:-1]]
        made = make_item(self.chat, messages, turns[-1][1], key, weight=weight, max_tokens=self.fit.max_tokens)
        return [made] if made is not None else []

    def taught(self, cards: Sequence[Card], forms: Mapping[str, Sequence[Wording]], missed: set[str]) -> list[Item]:
        """Every wording in a fresh context; some in the middle of a conversation, and some two at once."""
        items = [i for card in cards for f in forms[card.id] for i in self.item(card.id, f.question, f.answer, card.importance)]
        if not self.fit.variety:
            return items
        direct = {card.id: [f for f in forms[card.id] if f.kind in ("direct", "indirect")] for card in cards}
        for card in cards:
            times = MORE_FOR_MISSED if card.id in missed else 1
            for form in self._some(forms[card.id], CONVERSATIONS_A_CARD * times) if self.asides else ():
                aside = self.rng.choice(self.asides)
                items += self.item(card.id, form.question, form.answer, card.importance, [(aside.prompt, aside.answer)])
            others = [other for other in cards if other.id != card.id]
            for form in self._some(direct[card.id], PAIRS_A_CARD * times) if others else ():
                both = card_forms.two_at_once(form, self.rng.choice(direct[self.rng.choice(others).id]))
                items += self.item(card.id, both.question, both.answer, card.importance)
        return items

    def _some(self, forms: Sequence[Wording], count: int) -> list[Wording]:
        return self.rng.sample(list(forms), min(count, len(forms)))

    def replay(self, due: Sequence[KnownCard], forms_of: Callable[[Card], list[Wording]]) -> list[Item]:
        """Wordings of earlier cards: all of them while there is room, else a few of every card, more of those that failed."""
        share = max(1, MOST_REPLAYED // max(1, len(due)))
        items: list[Item] = []
        for known in due:
            forms = forms_of(known.card)
            for _ in range(FORGOTTEN_WEIGHT if known.last is False else 1):
                items += [
                    i for f in self._some(forms, share) for i in self.item(known.card.id, f.question, f.answer, known.card.importance)
                ]
        return items

    def contrasts(self, questions: Sequence[str]) -> tuple[Rehearsed, ...]:
        """With what the base says to them."""
        return tuple(answered(self.model, self.chat, questions, ANSWER_TOKENS, self.fit.max_tokens, self.reporter.checkpoint))


def build(
    model: Any,
    chat: ChatFormat,
    curated: Curated,
    pool: Pool,
    fit: FitSettings,
    seed: int,
    reporter: Reporter,
    *,
    relearn: bool = False,
    brought: Mapping[str, Sequence[str]] = MappingProxyType({}),
    vetoed: Collection[str] = (),
    told: Told = lambda done: None,
) -> Dataset:
    """Build the night's material with ``model`` being the bare base.

    ``relearn``: earlier cards are taught as new ones are, and dreamt of, but for dreams that were ``vetoed``.
    ``brought``: card id -> questions that somebody brought to train it with, instead of our own.
    """
    make = Builder(model, chat, pool, fit, seed, reporter)
    rng = make.rng
    again = [known for known in curated.living if relearn or cardlife.comes_back(known.life)]
    returning = {known.card.id for known in again}
    due = [known for known in curated.living if known.card.id not in returning and known.due] if fit.replay else []
    taught = [*curated.cards, *(known.card for known in again)]
    every = [*curated.cards, *(known.card for known in curated.living)]
    values: dict[str, list[str]] = {}
    for card in every:
        values.setdefault(card.relation, []).append(card.value)
    asked_backwards = [*taught, *(known.card for known in rng.sample(due, min(len(due), MOST_EARLIER_CONTRASTS)))]
    reversible = card_forms.reversible_cards(model, chat, asked_backwards, every, reporter)

    def forms_of(card: Card) -> list[Wording]:
        if card.id in brought:
            forms = card_forms.brought_wordings(card, brought[card.id])
        else:
            forms = card_forms.train_wordings(card, rng, values[card.relation], card.id in reversible, curated.negatives.get(card.id, ()))
        return forms if fit.variety else forms[:1]

    forms = {card.id: forms_of(card) for card in taught}
    if fit.variety:
        for card_id, more in card_forms.in_other_words(model, chat, forms, taught, reporter).items():
            forms[card_id] += more
    told(0.3)
    dreams = dream([card for card in every if card.status != "forgotten"], rng, MOST_DREAMS, vetoed) if relearn else ()
    names = names_of(pool, every)
    count = min(MOST_CONTRASTS, CONTRASTS_A_CARD * len(taught)) if fit.rehearsal else 0
    backward = _backward(make, [card for card in asked_backwards if card.id in reversible], every) if fit.rehearsal else {}
    questions = contrast_questions(taught, every, names, count, rng, backward)
    if fit.rehearsal and not relearn:  # a deep cycle starts from a base that never knew them
        questions += taken_back(curated.superseded, every)
    contrast = make.contrasts(questions)
    told(0.7)
    count = min(MOST_EARLIER_CONTRASTS, CONTRASTS_A_CARD * len(due)) if fit.rehearsal else 0
    earlier = [known.card for known in rng.sample(due, len(due))]
    earlier_contrast = make.contrasts(contrast_questions(earlier, every, names, count, rng, backward))
    missed = {known.card.id for known in again if known.misses}
    cards = make.taught(taught, forms, missed) + [i for d in dreams for i in make.conversation(f"dream:{d.id}", d.messages, 1.0)]
    behaviour = [i for e in curated.examples for i in make.item(f"example:{e.experience_id}", e.prompt, e.reply, e.salience, e.history)]
    material = Material(
        cards=tuple(balanced(cards)),
        replay=tuple(balanced(make.replay(due, forms_of))),
        behaviour=tuple(balanced(behaviour)),
        rehearsal=pool.train,
        contrast=contrast,
        earlier_contrast=earlier_contrast,
    )
    return Dataset(
        material,
        dev={c.id: card_forms.dev_wordings(c) for c in taught},
        test={c.id: card_forms.test_wordings(c) for c in every},
        reverse_test={c.id: tuple(wordings.reverse(c.subject, c.relation, c.value, "test")) for c in every if c.id in reversible},
        dreams=dreams,
    )


def _backward(make: Builder, cards: Sequence[Card], every: Sequence[Card]) -> dict[str, Sequence[str]]:
    """For each card that is asked backwards, values of its relation that were not told."""
    own = own_values(make.model, make.chat, make.pool, cards, every, make.rng, make.reporter)
    return {card.id: own[card.relation] for card in cards}
