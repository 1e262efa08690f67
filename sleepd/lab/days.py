"""Simulated days: facts of the synthetic world, told in chat and read by the same screen as in production."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Sequence
from dataclasses import replace

from sleepd.experience import cards
from sleepd.lab import world
from sleepd.lab.nights import Day
from sleepd.lab.smalltalk import CHAT
from sleepd.lab.world import ACKNOWLEDGEMENTS, Fact
from sleepd.records import Experience, Salience, ScreenVerdict

_SALIENCE = Salience(0.7, 0.7, 0.6, 0.7, 0.4, 0.62)

Say = Callable[[Fact, random.Random], str]


def facts_of(seed: int, nights: int, facts: int) -> list[Fact]:
    """``nights * facts`` facts about people of this seed alone; block 0 belongs to the seedling."""
    rng = random.Random(f"lab-facts-{seed}")
    return world.facts_about(rng, world.people(seed + 1, nights * facts))


def exchange(prompt: str, reply: str, number: int, minute: int) -> Experience:
    identity = hashlib.sha256(f"{prompt}|{reply}".encode()).hexdigest()[:16]
    stamp = f"2026-01-{1 + number % 28:02d}T{8 + minute // 60:02d}:{minute % 60:02d}:00"
    return Experience(identity, prompt, reply, _SALIENCE, session=number, timestamp=stamp)


def day(number: int, facts: Sequence[Fact], rng: random.Random, say: Say = world.statement) -> Day:
    """One day: every fact mentioned in passing, with small talk between."""
    rows: list[tuple[Experience, ScreenVerdict]] = []
    for index, fact in enumerate(facts):
        lived = exchange(say(fact, rng), rng.choice(ACKNOWLEDGEMENTS), number, index)
        found = tuple(replace(card, importance=lived.salience.total) for card in cards.extract(lived))
        rows.append((lived, ScreenVerdict(lived.id, ("short",), found)))
        if index % 5 == 0:
            question, reply = rng.choice(CHAT)
            chat = exchange(question, reply, number, index)
            rows.append((chat, ScreenVerdict(chat.id, ("short",), cards.extract(chat))))
    return Day(tuple(rows))


def days(seed: int, facts: Sequence[Fact], nights: int) -> list[Day]:
    rng = random.Random(f"lab-days-{seed}")
    each = len(facts) // nights
    return [day(n + 1, facts[n * each : (n + 1) * each], rng) for n in range(nights)]
