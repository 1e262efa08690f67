"""What happens by day over many nights: who tells what when, what is corrected later, and what is asked after each night.

Pure: made from a seed and facts alone; loads no model and reads no file.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise

from sleepd.lab import days as telling
from sleepd.lab import world
from sleepd.lab.days import Day, Told
from sleepd.lab.probes import Probes, corrected, probes_of, unique_values
from sleepd.lab.world import Fact

SCENARIOS = ("plain", "corrections", "forget")
CORRECTED_SHARE = 0.25


@dataclass(frozen=True)
class Correction:
    """Fact number ``fact`` gets another ``value`` on day ``day`` (from 1), told by the same person."""

    fact: int
    day: int
    value: str


@dataclass(frozen=True)
class Story:
    """``ends[i]``: how many facts were told by the end of day i (``ends[0]`` is 0). ``probes`` hold the first values told.

    ``wordings``: card id -> questions to train it with, where somebody brought them.
    """

    seed: int
    days: tuple[Day, ...]
    ends: tuple[int, ...]
    probes: tuple[Probes, ...]
    reversible: frozenset[Fact]
    corrections: tuple[Correction, ...]
    wordings: Mapping[str, tuple[str, ...]]

    def asked_after(self, night: int) -> tuple[Probes, ...]:
        """What is asked after ``night``: every fact told so far, with the value it has by then."""
        asked = list(self.probes[: self.ends[night]])
        for correction in self.corrections:
            if correction.day <= night:
                changed = replace(asked[correction.fact].fact, value=correction.value)
                asked[correction.fact] = corrected(asked[correction.fact], correction.value, changed in self.reversible)
        return tuple(asked)

    def spans(self) -> list[tuple[int, int]]:
        """Where each day's facts begin and end."""
        return list(pairwise(self.ends))


def split(count: int, nights: int) -> tuple[int, ...]:
    """``Story.ends`` of ``count`` facts over ``nights`` days, the first days taking what does not divide."""
    each, rest = divmod(count, nights)
    return (0, *accumulate(each + (n < rest) for n in range(nights)))


def corrections_of(facts: Sequence[Fact], ends: Sequence[int], seed: int) -> tuple[Correction, ...]:
    """A quarter of every day's facts but the last one's, each corrected once on a later day."""
    rng = random.Random(f"lab-corrections-{seed}")
    nights = len(ends) - 1
    made = []
    for number, (start, end) in enumerate(pairwise(ends), 1):
        if number == nights:
            break
        for index in sorted(rng.sample(range(start, end), round(CORRECTED_SHARE * (end - start)))):
            made.append(Correction(index, rng.randint(number + 1, nights), _other_value(facts[index], rng)))
    return tuple(made)


def _other_value(fact: Fact, rng: random.Random) -> str:
    while True:
        value = world.value(rng, fact.relation, 0.3)
        if value.lower() != fact.value.lower():
            return value


def world_story(seed: int, nights: int, facts: int, known: Sequence[Fact], scenario: str) -> Story:
    """Days of the synthetic world. ``known`` only decides which values belong to one subject."""
    told = telling.facts_of(seed, nights, facts)
    ends = split(len(told), nights)
    corrections = corrections_of(told, ends, seed) if scenario == "corrections" else ()
    replaced = [replace(told[c.fact], value=c.value) for c in corrections]
    reversible = frozenset(unique_values([*told, *replaced], known))
    taken = {fact.subject for fact in (*told, *known)}
    rng = random.Random(f"lab-days-{seed}")
    lived = []
    for number, (start, end) in enumerate(pairwise(ends), 1):
        new = [Told(fact, (world.statement(fact, rng),)) for fact in told[start:end]]
        new += [Told(f, (telling.taken_back(f, rng),)) for f, c in zip(replaced, corrections, strict=True) if c.day == number]
        lived.append(telling.day(number, new, rng))
    probes = tuple(probes_of(fact, fact in reversible, taken) for fact in told)
    return Story(seed, tuple(lived), ends, probes, reversible, corrections, {})
