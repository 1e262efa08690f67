"""Finds the one exchange that should not wait for a second: marked by its user, a correction, or very salient. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sleepd.experience.clauses import own_words, statements
from sleepd.experience.prose import sentences
from sleepd.records import Card, Experience, ScreenVerdict

LONGEST = 4000  # characters of a prompt that are looked at

_STRESSED = re.compile(
    r"(?:please |and )?(?:remember|note|keep in mind|do not forget|don['’]t forget) (?:this|that|it)(?:,? please)?[.! ]*", re.IGNORECASE
)

Slot = tuple[str, str, str]


@dataclass(frozen=True)
class Urgent:
    """The id of the exchange, and why it is urgent, as the end of a sentence that begins with the exchange."""

    experience_id: str
    why: str


def slot(speaker: str, subject: str, relation: str) -> Slot:
    """What two cards must share for the newer to correct the older."""
    return (speaker, subject.lower(), relation.lower())


def find(waiting: Iterable[tuple[Experience, ScreenVerdict]], known: Mapping[Slot, str], salience: float) -> Urgent | None:
    """The first urgent one of ``waiting``. ``known``: the values of the living cards; ``salience``: the total from which one is urgent."""
    for experience, verdict in waiting:
        why = _why(experience, verdict.cards, known, salience)
        if why is not None:
            return Urgent(experience.id, why)
    return None


def _why(experience: Experience, cards: Iterable[Card], known: Mapping[Slot, str], salience: float) -> str | None:
    if any(_corrects(card, known) for card in cards):
        return "corrects a known fact"
    if experience.metadata.get("important") is True or _marked(experience.prompt[:LONGEST]):
        return "is marked important"
    if experience.salience.total >= salience:
        return f"has a salience of {experience.salience.total:.2f} >= {salience:.2f}"
    return None


def _corrects(card: Card, known: Mapping[Slot, str]) -> bool:
    value = known.get(slot(card.speaker, card.subject, card.relation))
    if value is None:
        return False
    return (value.lower() == card.value.lower()) == (card.status == "superseded")  # another value, or this one taken back


def _marked(prompt: str) -> bool:
    """Whether the user's own words stress something: not a question, a quotation or an order."""
    if any(reading.marked for readings in statements(prompt) for reading in readings):
        return True
    return any(_STRESSED.fullmatch(sentence) for sentence in sentences(own_words(prompt)))
