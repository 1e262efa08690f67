"""What is asked about one fact: held-out questions, strangers who must not be given its value. Pure; loads no model."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from sleepd.lab import world
from sleepd.lab.world import Fact
from sleepd.night import wordings
from sleepd.night.wordings import KIN_PREFIX, USER, Wording

STRANGERS = 4  # a fact: one in a hundred is measured, which 200 questions could not tell from two


@dataclass(frozen=True)
class Probes:
    """Questions about one fact, none of them ever trained. ``neighbours``: the same asked about other people.

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
        neighbours=tuple(
            rng.choice(wordings.forward(name, fact.relation, fact.value, "test")).question for name in strangers(fact.subject, rng, taken)
        ),
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


def strangers(subject: str, rng: random.Random, taken: set[str]) -> list[str]:
    """Other people. Where the subject is a person with both, half of them share the first name, half the last one."""
    first, _, last = subject.partition(" ")
    person = bool(last) and subject != USER and not subject.startswith(KIN_PREFIX)
    found: list[str] = []
    while len(found) < STRANGERS:
        if person and len(found) % 2:
            name = f"{rng.choice(world.FIRST)} {last}"
        else:
            name = f"{first if person else rng.choice(world.FIRST)} {world.made_up_word(rng)}"
        if name not in taken and name not in found:
            found.append(name)
    return found


def unique_values(facts: Sequence[Fact], others: Sequence[Fact]) -> set[Fact]:
    """Facts whose value belongs to their subject alone, among all that are told and the ``others`` that the model knew."""
    owners: dict[tuple[str, str], set[str]] = {}
    for fact in (*facts, *others):
        owners.setdefault((fact.relation, fact.value.lower()), set()).add(fact.subject.lower())
    return {fact for fact in facts if len(owners[fact.relation, fact.value.lower()]) == 1}
