"""Days told from a facts file: its statements in chat, its questions asked, its wordings trained. Pure."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from sleepd.errors import ExitCode, SleepdError
from sleepd.lab import days as telling
from sleepd.lab.days import Told
from sleepd.lab.facts_file import BroughtFact, FactsFile
from sleepd.lab.probes import Probes, probes_of, strangers, unique_values
from sleepd.lab.story import Story, split
from sleepd.lab.world import Fact
from sleepd.night import wordings
from sleepd.night.wordings import KIN_PREFIX, USER, Wording


class TooFewFactsError(SleepdError):
    """A facts file with fewer facts than nights."""

    exit_code = ExitCode.USAGE


@dataclass(frozen=True)
class Reading:
    """How the cards of a story came about. ``extracted`` facts were found in the user's words as in production.

    ``given``: the file's own card was used, because the extraction does not understand the words. ``own_wordings``: facts
    trained in the project's own wordings; ``held_back``: how many of those are asked by the file and so are not trained.
    """

    extracted: int
    given: int
    own_wordings: int
    held_back: int

    def __str__(self) -> str:
        return (
            f"facts found in the user's words as in production: {self.extracted}; with the file's own card, because the words were not "
            f"understood: {self.given}; trained in our own wordings: {self.own_wordings}, of which the file asks {self.held_back}, "
            "which are not trained"
        )


def brought_story(file: FactsFile, seed: int, nights: int, facts: int) -> tuple[Story, Reading]:
    """At most ``nights * facts`` facts of the file, drawn and ordered by ``seed``, spread evenly over the nights."""
    if len(file.facts) < nights:
        raise TooFewFactsError(
            f"the facts file holds {len(file.facts)} facts, which is less than one for each of {nights} nights",
            f"bring more facts, or say --nights {len(file.facts)}",
        )
    rng = random.Random(f"lab-brought-{seed}")
    chosen = rng.sample(file.facts, min(len(file.facts), nights * facts))
    ends = split(len(chosen), nights)
    every = [b.fact for b in chosen]
    known = [b.fact for b in file.known]
    reversible = frozenset(unique_values(every, known))
    taken = {fact.subject for fact in (*every, *known)}
    lived = []
    for number, (start, end) in enumerate(pairwise(ends), 1):
        lived.append(telling.day(number, [Told(b.fact, b.statements, given=True) for b in chosen[start:end]], rng))
    probes = tuple(_probes(b, b.fact in reversible, taken) for b in chosen)
    trained: dict[str, tuple[str, ...]] = {}
    held_back, found = 0, 0
    for brought in chosen:
        cards = [card for said in brought.statements if (card := telling.read(said, brought.fact))]
        found += bool(cards)
        ids = {card.id for card in cards} or {telling.card_of(brought.fact, "").id}
        questions, held = _trained(brought, cards[0].relation if cards else brought.fact.relation)
        held_back += held
        if questions:
            trained |= dict.fromkeys(ids, questions)
    story = Story(seed, tuple(lived), ends, probes, reversible, (), trained)
    return story, Reading(found, len(chosen) - found, sum(not b.train for b in chosen), held_back)


def known_wordings(brought: Sequence[BroughtFact], seed: int) -> list[Wording]:
    """One question a known fact: the file's first, else one of our own."""
    rng = random.Random(f"lab-known-{seed}")
    asked = []
    for one in brought:
        forms = wordings.forward(one.fact.subject, one.fact.relation, one.fact.value, "test")
        asked.append(_question(one.fact, one.test[0]) if one.test else rng.choice(forms))
    return asked


def _probes(brought: BroughtFact, unique: bool, taken: set[str]) -> Probes:
    """The file's test questions, the first as the direct one; our own where it has none."""
    fact = brought.fact
    own = probes_of(fact, unique, taken)
    reverse = tuple(replace(_question(fact, q), kind="reverse", accept=_answers_to(fact)) for q in brought.reverse) if unique else ()
    if not brought.test:
        return replace(own, reverse=reverse or own.reverse)
    direct, *others = (_question(fact, question) for question in brought.test)
    rng = random.Random(f"neighbours-{fact.subject}-{fact.relation}")
    asked = [direct.question.replace(fact.subject, name) for name in strangers(fact.subject, rng, taken)]
    neighbours = tuple(asked) if direct.question not in asked else own.neighbours
    return Probes(fact, direct, tuple(others), reverse or own.reverse, neighbours)


def _question(fact: Fact, question: str) -> Wording:
    return Wording(question, wordings.answer(fact.subject, fact.relation, fact.value), (fact.value,), "direct", "test")


def _answers_to(fact: Fact) -> tuple[str, ...]:
    return ("you",) if fact.subject == USER else (fact.subject.removeprefix(KIN_PREFIX),)


def _trained(brought: BroughtFact, relation: str) -> tuple[tuple[str, ...], int]:
    """The questions to train, and how many of our own are not trained because the file asks them. None: our own, all of them."""
    if brought.train:
        return brought.train, 0
    asked = {question.lower() for question in (*brought.test, *brought.reverse)}
    own = [w.question for w in wordings.forward(brought.fact.subject, relation, brought.fact.value, "train")]
    kept = tuple(question for question in own if question.lower() not in asked)
    return (kept, len(own) - len(kept)) if len(kept) < len(own) else ((), 0)
