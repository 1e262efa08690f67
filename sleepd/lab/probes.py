"""What is asked about one fact: held-out questions, strangers who must not be given its value. Pure; loads no model."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from sleepd.lab import world
from sleepd.lab.world import Fact
from sleepd.night import wordings
from sleepd.night.wordings import KIN_PREFIX, USER, Wording


@dataclass(frozen=True)
class Probes:
    """Questions about one fact, none of them ever trained. ``neighbours``: the same asked about somebody else.

    ``stale``: the values that the fact had before it was corrected.
    """

    fact: Fact
    direct: Wording
    paraphrase: tuple[Wording, ...]
    reverse: tuple[Wording, ...]
    neighbours: tuple[str, ...]
    stale: tuple[str, ...] = ()


def probes_of(fact: Fact, unique: bool, taken: set[str]) -> Probes:
    """The held-out questions of a fact, drawn from its own test wordings. ``taken``: names that are no strangers.

    A value that is not ``unique`` to its subject has no reverse question.
    """
    rng = random.Random(f"probes-{fact.subject}-{fact.relation}")
    forms = wordings.forward(fact.subject, fact.relation, fact.value, "test")
    return Probes(
        fact,
        direct=rng.choice([w for w in forms if w.kind == "direct"]),
        paraphrase=(rng.choice([w for w in forms if w.kind == "indirect"]),),
        reverse=tuple(wordings.reverse(fact.subject, fact.relation, fact.value, "test")[:1]) if unique else (),
        neighbours=(rng.choice(wordings.forward(stranger(fact.subject, rng, taken), fact.relation, fact.value, "test")).question,),
    )


def corrected(probes: Probes, value: str, unique: bool) -> Probes:
    """The same questions once the fact's value is ``value``."""
    fact = replace(probes.fact, value=value)
    return replace(
        probes,
        fact=fact,
        direct=_expecting(probes.direct, fact),
        paraphrase=tuple(_expecting(form, fact) for form in probes.paraphrase),
        reverse=tuple(wordings.reverse(fact.subject, fact.relation, value, "test")[:1]) if unique else (),
        stale=(*probes.stale, probes.fact.value),
    )


def _expecting(form: Wording, fact: Fact) -> Wording:
    return replace(form, accept=(fact.value,), answer=wordings.answer(fact.subject, fact.relation, fact.value))


def stranger(subject: str, rng: random.Random, taken: set[str]) -> str:
    """Somebody else, who shares the first or the last name where the subject is a person with both."""
    first, _, last = subject.partition(" ")
    person = bool(last) and subject != USER and not subject.startswith(KIN_PREFIX)
    while True:
        if person and rng.random() < 0.5:
            name = f"{rng.choice(world.FIRST)} {last}"
        else:
            name = f"{first if person else rng.choice(world.FIRST)} {world.made_up_word(rng)}"
        if name not in taken:
            return name


def unique_values(facts: Sequence[Fact], others: Sequence[Fact]) -> set[Fact]:
    """Facts whose value belongs to their subject alone, among all that are told and the ``others`` that the model knew."""
    owners: dict[tuple[str, str], set[str]] = {}
    for fact in (*facts, *others):
        owners.setdefault((fact.relation, fact.value.lower()), set()).add(fact.subject.lower())
    return {fact for fact in facts if len(owners[fact.relation, fact.value.lower()]) == 1}
