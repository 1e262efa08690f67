"""Simulated days: facts told in chat, with small talk between, and read by the same extraction as in production."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from sleepd.experience import cards
from sleepd.lab import world
from sleepd.lab.smalltalk import CHAT
from sleepd.lab.world import ACKNOWLEDGEMENTS, Fact
from sleepd.records import Card, Experience, Salience, ScreenVerdict

_SALIENCE = Salience(0.7, 0.7, 0.6, 0.7, 0.4, 0.62)
_MINUTES_A_DAY = 15 * 60  # told between eight in the morning and eleven at night
_TAKEN_BACK = ("Actually, ", "Correction: ", "I was wrong, ", "Sorry, ")

Say = Callable[[Fact, random.Random], str]


@dataclass(frozen=True)
class Day:
    """What was lived through on one day: exchanges with what the screen made of them."""

    rows: tuple[tuple[Experience, ScreenVerdict], ...]


@dataclass(frozen=True)
class Told:
    """One fact as it is told on a day. ``said``: what the user says, one exchange each.

    ``given``: the fact's own card where the extraction finds nothing in those words, so that it can be learned anyway.
    """

    fact: Fact
    said: tuple[str, ...]
    given: bool = False


def facts_of(seed: int, nights: int, facts: int) -> list[Fact]:
    """``nights * facts`` facts about people of this seed alone; block 0 belongs to the seedling."""
    rng = random.Random(f"lab-facts-{seed}")
    return world.facts_about(rng, world.people(seed + 1, nights * facts))


def exchange(prompt: str, reply: str, number: int, minute: int) -> Experience:
    identity = hashlib.sha256(f"{prompt}|{reply}|{number}|{minute}".encode()).hexdigest()[:16]
    minute = min(minute, _MINUTES_A_DAY)
    stamp = f"2026-{1 + number // 28:02d}-{1 + number % 28:02d}T{8 + minute // 60:02d}:{minute % 60:02d}:00"
    return Experience(identity, prompt, reply, _SALIENCE, session=number, timestamp=stamp)


def taken_back(fact: Fact, rng: random.Random) -> str:
    """The fact as somebody would say it who said otherwise before."""
    text = world.statement(fact, rng, lead=False)
    keep = text.startswith(("I ", fact.subject))
    return rng.choice(_TAKEN_BACK) + (text if keep else text[:1].lower() + text[1:])


def day(number: int, facts: Sequence[Told], rng: random.Random) -> Day:
    """One day: every fact mentioned in passing, with small talk between."""
    rows: list[tuple[Experience, ScreenVerdict]] = []
    for index, told in enumerate(facts):
        for said in told.said:
            lived = exchange(said, rng.choice(ACKNOWLEDGEMENTS), number, index)
            rows.append((lived, ScreenVerdict(lived.id, ("short",), _cards(lived, told))))
        if index % 5 == 0:
            question, reply = rng.choice(CHAT)
            chat = exchange(question, reply, number, index)
            rows.append((chat, ScreenVerdict(chat.id, ("short",), cards.extract(chat))))
    return Day(tuple(rows))


def read(said: str, fact: Fact) -> Card | None:
    """The card that production makes of these words, if it is this fact's."""
    for card in cards.extract(Experience("", said, "", _SALIENCE)):
        if card.subject.lower() == fact.subject.lower() and card.value.lower() == fact.value.lower():
            return card
    return None


def card_of(fact: Fact, said: str, experience: Experience | None = None) -> Card:
    """A card made by hand, for words that the extraction does not understand."""
    return Card(
        id=cards.card_id(fact.subject, fact.relation, fact.value),
        subject=fact.subject,
        relation=fact.relation,
        value=fact.value,
        quote=said,
        speaker="user",
        time=experience.timestamp if experience else None,
        session=experience.session if experience else None,
        importance=_SALIENCE.total,
        experience_id=experience.id if experience else "",
    )


def _cards(lived: Experience, told: Told) -> tuple[Card, ...]:
    """What production's extraction finds, and the given card where it does not find the fact."""
    found = tuple(replace(card, importance=lived.salience.total) for card in cards.extract(lived))
    if told.given and read(lived.prompt, told.fact) is None and told.fact.value in lived.prompt:
        return (*found, card_of(told.fact, lived.prompt, lived))
    return found


def days(seed: int, facts: Sequence[Fact], nights: int, say: Say = world.statement) -> list[Day]:
    """``facts`` in ``nights`` equal days."""
    rng = random.Random(f"lab-days-{seed}")
    each = len(facts) // nights
    return [day(n + 1, [Told(f, (say(f, rng),)) for f in facts[n * each : (n + 1) * each]], rng) for n in range(nights)]
