"""Questions near what a card says that must not be answered with it: the same about a stranger, or something not told.

A model that learns one fact tends to tell it of everybody with a similar name. Contrasts hold it to what the base says.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sleepd.night import wordings
from sleepd.night.chat import ChatFormat
from sleepd.night.progress import Reporter
from sleepd.night.rehearsal import Pool, answered
from sleepd.night.relations import RELATIONS
from sleepd.records import Card

ANSWER_TOKENS = 48
OTHER_RELATION_SHARE = 0.05
BACKWARD_SHARE = 0.15  # of the contrasts of cards that are asked backwards
ASKED_A_RELATION = 48  # people that the base is asked about, to learn which values it gives by itself
FIRST_NAME_SHARE = 0.4  # of the namesakes have its first part: a last name is rarer, so it is what a fact clings to
NAMESAKES = 0.7  # of the strangers in training: with them a model learns to read the whole name
RIVAL_SHARE = 0.35  # of those with its last part are called like others of whom the same is told: two leaks in three went to them
FEW_NAMES = 20
_FULL_NAME = re.compile(r"\b(?:[A-Z][a-z]+ )*?([A-Z][a-z]+) ([A-Z][a-z]+)\b(?! [A-Z])")  # of "Does Ada Brin" the last two
FIRST = "Alda Brin Corin Dela Evan Fara Gorin Hedda Irena Jarek Kira Lorin Mirel Norin Orla Petr Runa Selma Tovin Ulla".split()
_KIN = ("sister", "brother", "mother", "father", "friend")
LAST = "Astor Belk Corvin Dunmore Eskil Farrow Gant Holt Ingram Jarvis Kerr Lowe Marsh Norden Orton Pell Rusk Stroud Thorne Wick".split()


@dataclass(frozen=True)
class Names:
    """Parts of names to make up strangers from. ``rivals``: relation -> the first parts of those whom a card tells it of."""

    first: tuple[str, ...]
    last: tuple[str, ...]
    rivals: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def names_of(pool: Pool, cards: Sequence[Card]) -> Names:
    """Names as this base model would invent them, from its own rehearsal prompts, with those of the cards and a few more.

    Strangers must look like everybody else: a contrast with odd names teaches to tell odd names apart. So a first name counts
    when it was made up twice: a small model garbles names, each in its own way, and has few first names that are none.
    """
    told = [m for c in cards for m in _FULL_NAME.findall(c.subject)]
    rivals: dict[str, set[str]] = {}
    for card in cards:
        rivals.setdefault(card.relation, set()).update(_parts(card.subject)[:1])
    heard = [m for r in pool.train for m in _FULL_NAME.findall(r.prompt)]
    times = Counter(f for f, _ in heard)
    again = {f for f, count in times.items() if count > 1}
    first = (again if len(again) >= FEW_NAMES else set(times)) | {f for f, _ in told}
    last = {s for _, s in (*told, *heard)}
    return Names(_enough(first, FIRST), _enough(last, LAST), {relation: tuple(sorted(firsts)) for relation, firsts in rivals.items()})


def _parts(subject: str) -> tuple[str, ...]:
    """A person's name without its last part, and that part; nothing for what is not called like a person."""
    first, _, last = subject.rpartition(" ")
    return (first, last) if first and all(word[0].isupper() for word in subject.split()) else ()


def _enough(found: set[str], more: Sequence[str]) -> tuple[str, ...]:
    return tuple(sorted(found | set(more if len(found) < FEW_NAMES else ())))


def stranger(card: Card, names: Names, rng: random.Random, told: set[tuple[str, str]], namesakes: float = NAMESAKES) -> str:
    """Somebody else to ask the same about. ``namesakes``: the share of those who have a part of the subject's name."""
    own, rivals = _parts(card.subject), names.rivals.get(card.relation, ())
    while True:
        first, last = rng.choice(names.first), rng.choice(names.last)
        if own and rng.random() < namesakes:
            if rng.random() < FIRST_NAME_SHARE:
                first = own[0]
            else:
                first, last = rng.choice(rivals) if rivals and rng.random() < RIVAL_SHARE else first, own[1]
        name = f"{first} {last}"
        if not own and rng.random() < 0.5:
            name = rng.choice((wordings.USER, *(wordings.KIN_PREFIX + kin for kin in _KIN)))
        if (name.lower(), card.relation) not in told:
            return name


def own_values(
    model: Any, chat: ChatFormat, pool: Pool, cards: Sequence[Card], every: Sequence[Card], rng: random.Random, reporter: Reporter
) -> dict[str, tuple[str, ...]]:
    """Values that the base itself gives to people it talks about, for each relation of ``cards``, but for those of ``every``.

    Asked who they belong to, it must go on to say what it said before.
    """
    people = sorted({f"{first} {last}" for r in pool.train for first, last in _FULL_NAME.findall(r.prompt)})
    told = {(card.relation, card.value.lower()) for card in every}
    found: dict[str, tuple[str, ...]] = {}
    for relation in dict.fromkeys(card.relation for card in cards):
        asked = rng.sample(people, min(len(people), ASKED_A_RELATION))
        questions = [wordings.forward(person, relation, "", "train")[0].question for person in asked]
        made = answered(model, chat, questions, ANSWER_TOKENS, pause=reporter.checkpoint)
        answers = {r.prompt: r.answer for r in made}
        said = [answers.get(question, "") for question in questions]
        values = [wordings.value_in(answer, person, relation) for person, answer in zip(asked, said, strict=True)]
        found[relation] = tuple(dict.fromkeys(v for v in values if v and (relation, v.lower()) not in told))
    return found


def contrast_questions(
    cards: Sequence[Card], every: Sequence[Card], names: Names, count: int, rng: random.Random, backward: Mapping[str, Sequence[str]]
) -> list[str]:
    """At most ``count`` questions near what ``cards`` say: the same about somebody else, or something else.

    ``every``: all cards whose facts are told, none of which may be asked for. ``backward``: card id -> values that are not
    told, to be asked who they belong to.
    """
    told = {(card.subject.lower(), card.relation) for card in every}
    questions: dict[str, None] = {}
    for index in range(count if cards else 0):
        card = cards[index % len(cards)]
        subject, relation = stranger(card, names, rng, told), card.relation
        if rng.random() < OTHER_RELATION_SHARE:
            others = [name for name in RELATIONS if (card.subject.lower(), name) not in told]
            subject, relation = (card.subject, rng.choice(others)) if others else (subject, relation)
        forms = wordings.forward(subject, relation, card.value, "train") + wordings.further(subject, relation, card.value)
        if relation == card.relation and rng.random() < 0.1:
            forms = list(wordings.yes_no(subject, relation, card.value, card.value))[:1]
        elif backward.get(card.id) and rng.random() < BACKWARD_SHARE:
            forms = wordings.reverse(subject, card.relation, rng.choice(backward[card.id]), "train")
        questions[rng.choice(forms).question] = None
    return list(questions)


def taken_back(ended: Sequence[Card], every: Sequence[Card]) -> list[str]:
    """The questions about facts that hold no more and that no other fact replaces."""
    told = {(card.subject.lower(), card.relation) for card in every}
    gone = [card for card in ended if (card.subject.lower(), card.relation) not in told]
    return list(dict.fromkeys(form.question for c in gone for form in wordings.forward(c.subject, c.relation, c.value, "train")))
