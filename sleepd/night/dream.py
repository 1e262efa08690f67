"""Dreams of a deep cycle: cards that share a subject, recombined into two-step questions and short dialogues.

Nothing is made up: a dream's words come from the question forms and from its own cards, and one that holds any other
name or value is thrown away with the reason. Only forms of the train family are used, so that no gate sees them.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

from sleepd.night import wordings
from sleepd.night.relations import RELATIONS, relation
from sleepd.night.wordings import KIN_PREFIX, USER
from sleepd.records import Card

Kind = Literal["two-step", "given", "dialogue"]
Message = tuple[str, str]

LONGEST_DIALOGUE = 3  # facts that one dialogue asks for
_TRIES = 4  # so many candidates are looked at for one dream
_WORD = re.compile(r"\w+(?:['’-]\w+)*")
_OWN_WORDS = "and i you my your me mine yours they their the a an is what about yes no of that".split()


@dataclass(frozen=True)
class Dream:
    """``id`` depends on the kind and the cards, not on the words: who vetoes a dream means all its wordings.

    ``kind``: two-step (the subject is named by another fact), given (one fact is stated, another is asked for), dialogue
    (several facts of a subject in turn). ``messages``: (role, content), the user first, the assistant last.
    """

    id: str
    card_ids: tuple[str, ...]
    messages: tuple[Message, ...]
    kind: Kind

    def as_dict(self) -> dict[str, object]:
        """As it stands in result.json."""
        return {"id": self.id, "card_ids": list(self.card_ids), "messages": [list(m) for m in self.messages], "kind": self.kind}


def dream(cards: Sequence[Card], rng: random.Random, limit: int, vetoed: Collection[str] = frozenset()) -> tuple[Dream, ...]:
    """At most ``limit`` dreams of these cards, none of them vetoed, ungrounded or twice; the same for the same ``rng``."""
    by_subject: dict[str, list[Card]] = {}
    for card in sorted(cards, key=lambda card: card.id):
        by_subject.setdefault(card.subject.lower(), []).append(card)
    by_id = {card.id: card for card in cards}
    chosen: dict[str, Dream] = {}
    for made in _candidates(by_subject, rng, _TRIES * limit):
        if len(chosen) == limit:
            break
        if made.id not in chosen and made.id not in vetoed and ungrounded(made, by_id) is None:
            chosen[made.id] = made
    return tuple(chosen.values())


def ungrounded(made: Dream, cards: Mapping[str, Card]) -> str | None:
    """Why a dream may not be trained, or None. ``cards``: the living ones by id.

    Every word must belong to the question forms or to the dream's own cards, and every word that is written like a name,
    or holds a digit, to its cards; each answer must state one of its cards' values.
    """
    missing = [card_id for card_id in made.card_ids if card_id not in cards]
    if missing or not made.card_ids:
        return f"card {missing[0]} is not among the living" if missing else "it belongs to no card"
    own = [cards[card_id] for card_id in made.card_ids]
    of_cards = {word for card in own for text in (card.subject, card.relation, card.value) for word in _words(text)}
    for role, content in made.messages:
        for sentence in re.split(r"(?<=[.?!])\s+", content):
            for position, word in enumerate(_WORD.findall(sentence)):
                name = _bare(word)
                if name in of_cards:
                    continue
                if any(c.isdigit() for c in word) or (position and word[:1].isupper() and word != "I"):
                    return f"{word!r} is in none of its cards"
                if name not in _vocabulary():
                    return f"{word!r} is in none of its cards, and no question form has it"
        if role == "assistant" and not any(card.value.lower() in content.lower() for card in own):
            return f"the answer {content!r} states none of its cards"
    return None


def _candidates(by_subject: Mapping[str, list[Card]], rng: random.Random, count: int) -> Iterator[Dream]:
    """Dreams of all kinds in random order, at most ``count``; perhaps the same one twice."""
    linked = [(a, b) for group in by_subject.values() for a in group for b in by_subject.get(a.value.lower(), []) if a.id != b.id]
    kin = [(a, b) for a in by_subject.get(USER, []) for b in by_subject.get(KIN_PREFIX + a.relation.lower(), [])]
    groups = [group for group in by_subject.values() if len(group) > 1]
    steps = [*linked, *kin]
    for _ in range(count if steps or groups else 0):
        if steps and (not groups or rng.random() < 0.5):
            yield _two_step(*rng.choice(steps), rng)
            continue
        group = rng.choice(groups)
        if rng.random() < 0.5:
            first, second = rng.sample(group, 2)
            yield _given(first, second, rng)
        else:
            yield _dialogue(rng.sample(group, min(len(group), rng.randint(2, LONGEST_DIALOGUE))), rng)


def _two_step(first: Card, second: Card, rng: random.Random) -> Dream:
    """In which city does the sister of Alda live?"""
    described = KIN_PREFIX + first.relation if first.subject == USER else f"{wordings.possessive(_name(first.subject))} {first.relation}"
    asked = _question(described, second, rng)
    answer = f"{_answer(first)} {_answer(second)}"
    return _made("two-step", (first, second), [("user", asked), ("assistant", answer)])


def _given(first: Card, second: Card, rng: random.Random) -> Dream:
    """Alda plays the oboe. And where does Alda live?"""
    stated = wordings.render(relation(first.relation).answer, first.subject, first.value)
    asked = f"{stated} {_question(second.subject, second, rng)}"
    return _made("given", (first, second), [("user", asked), ("assistant", _answer(second))])


def _dialogue(cards: Sequence[Card], rng: random.Random) -> Dream:
    """One question after the other about the same subject."""
    messages: list[Message] = []
    for card in cards:
        messages += [("user", _question(card.subject, card, rng)), ("assistant", _answer(card))]
    return _made("dialogue", cards, messages)


def _made(kind: Kind, cards: Sequence[Card], messages: Sequence[Message]) -> Dream:
    ids = tuple(card.id for card in cards)
    key = "|".join((kind, *(sorted(ids) if kind == "dialogue" else ids)))
    return Dream(hashlib.sha256(key.encode()).hexdigest()[:16], ids, tuple(messages), kind)


def _question(subject: str, card: Card, rng: random.Random) -> str:
    direct = [form for form in wordings.forward(subject, card.relation, card.value, "train") if form.kind == "direct"]
    return rng.choice(direct).question


def _answer(card: Card) -> str:
    return wordings.answer(card.subject, card.relation, card.value)


def _name(subject: str) -> str:
    return "my " + subject.removeprefix(KIN_PREFIX) if subject.startswith(KIN_PREFIX) else subject


def _words(text: str) -> Iterator[str]:
    for word in _WORD.findall(text):
        yield _bare(word)
        yield from map(str.lower, re.findall(r"\w+", word))


def _bare(word: str) -> str:
    """Lower case, without a possessive ending."""
    return re.sub(r"['’]s?$", "", word.lower())


@cache
def _vocabulary() -> frozenset[str]:
    """Every word that a question form of any relation may bring along."""
    forms = [*RELATIONS.values(), relation("")]
    texts = [text for form in forms for text in (form.answer, form.polar, *form.questions, *form.clauses, *form.reverse)]
    return frozenset(_bare(word) for text in texts for word in _WORD.findall(text)) | frozenset(_OWN_WORDS)
