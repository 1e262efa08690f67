"""Turns curated cards and conversations into training items: many wordings a card, contrasts, rehearsal."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sleepd.night import wordings
from sleepd.night.chat import ChatFormat
from sleepd.night.curate import Curated
from sleepd.night.fit import Material
from sleepd.night.generate import generate
from sleepd.night.items import Item, balanced, make_item
from sleepd.night.presets import FitSettings
from sleepd.night.progress import Reporter
from sleepd.night.rehearsal import Pool, rehearse
from sleepd.night.score import is_refusal
from sleepd.night.wordings import Wording
from sleepd.records import Card

CONTRASTS_A_CARD = 20
MOST_CONTRASTS = 400
_FULL_NAME = re.compile(r"\b([A-Z][a-z]+) ([A-Z][a-z]+)\b")
_FIRST = "Alda Brin Corin Dela Evan Fara Gorin Hedda Irena Jarek Kira Lorin Mirel Norin Orla Petr Runa Selma Tovin Ulla".split()
_LAST = "Astor Belk Corvin Dunmore Eskil Farrow Gant Holt Ingram Jarvis Kerr Lowe Marsh Norden Orton Pell Rusk Stroud Thorne Wick".split()


@dataclass(frozen=True)
class Dataset:
    """What is trained and how cards are probed. ``dev``/``test``: card id -> wordings that are never trained."""

    material: Material
    dev: dict[str, tuple[Wording, ...]]
    test: dict[str, tuple[Wording, ...]]
    reverse_test: dict[str, tuple[Wording, ...]]


def train_wordings(card: Card, rng: random.Random, distractors: Sequence[str], reversible: bool) -> list[Wording]:
    """Sixteen or more wordings of the train family: direct, indirect, completion, yes/no, reverse."""
    forms = wordings.forward(card.subject, card.relation, card.value, "train")
    forms.append(wordings.finish(card.subject, card.relation, card.value))
    other = [d for d in distractors if d.lower() != card.value.lower()]
    if other:
        forms += wordings.yes_no(card.subject, card.relation, card.value, rng.choice(other))
    if reversible:
        forms += wordings.reverse(card.subject, card.relation, card.value, "train")
    return forms


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
    single = [c for c in cards if len(owners[c.relation, c.value.lower()]) == 1 and c.relation in wordings.RELATIONS]
    if not single:
        return set()
    asked = [wordings.reverse(c.subject, c.relation, c.value, "train")[0].question for c in single]
    answers = generate(model, [chat.question(q) for q in asked], chat.end_of_turn, 32, pause=reporter.checkpoint)
    return {c.id for c, a in zip(single, answers, strict=True) if is_refusal(chat.decode(a.ids))}


@dataclass(frozen=True)
class Names:
    """Parts of names to make up strangers from."""

    first: tuple[str, ...]
    last: tuple[str, ...]


def names_of(pool: Pool, cards: Sequence[Card]) -> Names:
    """Names as this base model would invent them, from its own rehearsal prompts, with those of the cards and a few more.

    Strangers must look like everybody else: a contrast with odd names teaches to tell odd names apart.
    """
    found = [m for r in pool.train for m in _FULL_NAME.findall(r.prompt)] + [m for c in cards for m in _FULL_NAME.findall(c.subject)]
    first, last = {f for f, _ in found}, {s for _, s in found}
    return Names(tuple(sorted(first | set(_FIRST if len(first) < 20 else ()))), tuple(sorted(last | set(_LAST if len(last) < 20 else ()))))


def stranger(card: Card, names: Names, rng: random.Random, taken: set[str]) -> str:
    """Somebody else to ask the same about, mostly one who shares a part of the subject's name."""
    match = _FULL_NAME.fullmatch(card.subject)
    while True:
        first, last = rng.choice(names.first), rng.choice(names.last)
        if match and rng.random() < 0.8:
            first, last = (match[1], last) if rng.random() < 0.5 else (first, match[2])
        name = f"{first} {last}"
        if name.lower() not in taken:
            return name


def contrast_pairs(
    model: Any, chat: ChatFormat, cards: Sequence[Card], names: Names, count: int, rng: random.Random, reporter: Reporter
) -> list[tuple[str, str]]:
    """Questions of the same relation about somebody else, with the base's own greedy answer."""
    taken = {card.subject.lower() for card in cards}
    questions: dict[str, None] = {}
    for index in range(count if cards else 0):
        card = cards[index % len(cards)]
        other = stranger(card, names, rng, taken)
        forms = wordings.forward(other, card.relation, card.value, "train")
        if rng.random() < 0.1:
            forms = list(wordings.yes_no(other, card.relation, card.value, card.value))[:1]
        questions[rng.choice(forms).question] = None
    asked = list(questions)
    answers = generate(model, [chat.question(q) for q in asked], chat.end_of_turn, 48, pause=reporter.checkpoint)
    return [(q, text) for q, a in zip(asked, answers, strict=True) if (text := chat.decode(a.ids))]


def build(
    model: Any, chat: ChatFormat, curated: Curated, pool: Pool, fit: FitSettings, seed: int, reporter: Reporter, *, relearn: bool = False
) -> Dataset:
    """Build the night's material with ``model`` being the bare base. ``relearn``: earlier cards are taught as new ones are."""
    rng = random.Random(f"dataset-{seed}")
    earlier = [known.card for known in curated.living]
    every = [*curated.cards, *earlier]
    values: dict[str, list[str]] = {}
    for card in every:
        values.setdefault(card.relation, []).append(card.value)
    reversible = reversible_cards(model, chat, every, every, reporter)

    def items_of(cards: Sequence[Card]) -> list[Item]:
        made: list[Item] = []
        for card in cards:
            for form in train_wordings(card, rng, values[card.relation], card.id in reversible):
                message = [{"role": "user", "content": form.question}]
                item = make_item(chat, message, form.answer, card.id, weight=card.importance, max_tokens=fit.max_tokens)
                if item is not None:
                    made.append(item)
        return made

    contrasts = min(MOST_CONTRASTS, CONTRASTS_A_CARD * len(curated.cards)) if fit.rehearsal else 0
    pairs = contrast_pairs(model, chat, curated.cards, names_of(pool, every), contrasts, rng, reporter)
    behaviour = [
        make_item(
            chat,
            [{"role": "user", "content": e.prompt}],
            e.reply,
            f"example:{e.experience_id}",
            weight=e.salience,
            max_tokens=fit.max_tokens,
        )
        for e in curated.examples
    ]
    material = Material(
        cards=tuple(balanced(items_of(every if relearn else curated.cards))),
        replay=() if relearn else tuple(balanced(items_of(earlier))),
        behaviour=tuple(balanced([item for item in behaviour if item is not None])),
        rehearsal=pool.train,
        contrast=tuple(rehearse(model, chat, pairs, fit.max_tokens, reporter.checkpoint)),
    )
    return Dataset(
        material,
        dev={c.id: dev_wordings(c) for c in curated.cards},
        test={c.id: test_wordings(c) for c in every},
        reverse_test={c.id: tuple(wordings.reverse(c.subject, c.relation, c.value, "test")) for c in every if c.id in reversible},
    )
