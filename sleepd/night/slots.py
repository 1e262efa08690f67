"""What becomes of everything a speaker said about one thing: one slot is a speaker, a subject and a relation.

A slot's statements are replayed in the order of time. The newest value wins; "also" adds to what may be several;
what is taken back is gone. What is held at the end is one card, for one question gets one answer.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Literal

from sleepd.experience.cards import card_id
from sleepd.experience.wordlists import PETS
from sleepd.night.score import contains
from sleepd.night.sessions import moment
from sleepd.records import Card

Action = Literal["STORE", "CORRECT", "KNOWN", "REJECT", "WAIT"]

MOST_VALUES = 4  # that one card holds together
MOST_NEGATIVES = 4
RESTLESS_CHANGES, RESTLESS_DAYS, STABLE_HOURS = 3, 7, 24
# What somebody has several of. Everything else (city, job, birthday, any "favorite ...") has one value at a time.
SEVERAL = frozenset("hobby instrument pet sister brother son daughter child kid friend cousin aunt uncle nephew niece".split()) | PETS
# What only grows: a second prize takes nothing from the first.
GATHERED = frozenset({"award", "language", "allergy", "founded company", "discovery", "school"})
_ADDS = re.compile(r"\b(?:also|too|as well|another|a second|a third|besides|in addition|additionally)\b", re.IGNORECASE)
_CORRECTS = re.compile(
    r"^\W*(?:no|nope|actually|correction|sorry|oops|my mistake|my bad|i was wrong|i misspoke|i meant|wait)\b", re.IGNORECASE
)
_LONG_AGO = datetime.min.replace(tzinfo=UTC)

Slot = tuple[str, str, str]


@dataclass(frozen=True)
class CardDecision:
    """What becomes of one card, and why."""

    card: Card
    action: Action
    reason: str


@dataclass(frozen=True)
class Candidate:
    """What a slot would learn tonight. ``replaces``: earlier cards that go with it; ``reason`` when it is learned."""

    card: Card
    action: Action
    reason: str
    replaces: tuple[Card, ...] = ()
    negatives: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """One slot's decisions, at most one candidate, and the cards that ended without a successor."""

    decisions: tuple[CardDecision, ...]
    candidate: Candidate | None = None
    ended: tuple[Card, ...] = ()


def slot_of(card: Card) -> Slot:
    """What two cards must share to contradict each other: the speaker too, for two people may disagree."""
    return (card.speaker, card.subject.casefold(), card.relation.casefold())


def settle(said: Sequence[Card], living: Sequence[Card], past: Sequence[Card], now: datetime) -> Outcome:
    """Settle one slot. ``said``: tonight's cards, oldest first; ``living``: cards in the weights; ``past``: values of before.

    ``past`` are superseded cards and statements that were trained already: they count as changes and as old values.
    """
    newest_living = max((moment(card.time) or _LONG_AGO for card in living), default=_LONG_AGO)
    dated = [(moment(c.time) or _LONG_AGO, True, c) for c in living] + [(moment(c.time) or newest_living, False, c) for c in said]
    order = sorted(dated, key=lambda item: item[0])  # stable: what was said tonight is newer than what was learned at that time
    held: list[str] = []
    source: Card | None = None  # the last statement that changed what is held
    added = False
    for _, living_one, card in order:
        if card.status == "superseded":
            held = [value for value in held if not _same(value, card.value)]
            added = False
            continue
        values = _parts(card) if living_one else [card.value]
        adding = bool(held) and not living_one and _adds(card, source)
        if _among(values, held) and (adding or len(held) == len(values) or (_several(card) and not _CORRECTS.search(card.quote))):
            source = card if not living_one else source or card
            continue
        held, added = ([*held, *values][-MOST_VALUES:], True) if adding else (values, False)
        source = card
    old = [value for card in (*past, *living, *said) for value in _parts(card)]
    negatives = tuple(_unlike(old[::-1], held))[:MOST_NEGATIVES]
    target = " and ".join(held)
    same = [card for card in living if _same(card.value, target)]
    if not held or same:
        gone = tuple(card for card in living if card not in same)
        return Outcome(tuple(_verdict(card, held, target, bool(same)) for card in said), ended=gone)
    assert source is not None  # something is held, so something was said
    card = source if _same(source.value, target) else replace(source, value=target, id=card_id(source.subject, source.relation, target))
    if source in living:  # a part of a known card was taken back; the rest is learned anew
        card = replace(card, status="new")
    rest = tuple(_verdict(c, held, target, False) for c in said if c is not source)
    if restless(said, living, past, now):
        changes = f"changed at least {RESTLESS_CHANGES} times in {RESTLESS_DAYS} days"
        wait = f"{changes}; waits until it has been the same for {STABLE_HOURS} hours"
        return Outcome(tuple(CardDecision(c, "WAIT", wait) for c in said))
    if living:
        before = " and ".join(repr(c.value) for c in living)
        reason = f"adds to {before}" if added else f"replaces {before}"
        return Outcome(rest, Candidate(card, "CORRECT", reason, tuple(living), negatives))
    return Outcome(rest, Candidate(card, "STORE", "new", (), negatives))


def restless(said: Sequence[Card], living: Sequence[Card], past: Sequence[Card], now: datetime) -> bool:
    """Whether the slot's value changed too often lately, and again within the last day."""
    since = now - timedelta(days=RESTLESS_DAYS)
    told = {(at, c.experience_id, c.value.casefold()): c for c in (*past, *living, *said) if (at := moment(c.time)) is not None}
    changes: list[datetime] = []
    value: str | None = None
    for (at, _, _), card in sorted(told.items(), key=lambda item: item[0][0]):
        if value is not None and not _same(value, card.value) and not _adds(card, None) and at >= since:
            changes.append(at)
        value = card.value
    return len(changes) >= RESTLESS_CHANGES and now - changes[-1] < timedelta(hours=STABLE_HOURS)


def _verdict(card: Card, held: Sequence[str], target: str, known: bool) -> CardDecision:
    """The decision on a statement that is not the candidate itself."""
    if card.status == "superseded":
        return CardDecision(card, "REJECT", f"retracted: {card.value!r} no longer holds")
    if any(_same(card.value, value) for value in held):
        if known:
            return CardDecision(card, "KNOWN", "already learned on an earlier night")
        whole = _same(card.value, target)
        return CardDecision(card, "REJECT", "said again later") if whole else CardDecision(card, "KNOWN", f"part of {target!r}")
    return CardDecision(card, "REJECT", f"corrected later to {target!r}" if held else "retracted later")


def _several(card: Card) -> bool:
    relation = card.relation.casefold()
    return relation in SEVERAL or relation in GATHERED


def _adds(card: Card, before: Card | None) -> bool:
    """Whether a statement adds a value: nobody gives up a sister because he has another one."""
    if not _several(card) or _CORRECTS.search(card.quote):
        return False
    in_one_breath = before is not None and before.experience_id == card.experience_id
    return card.relation.casefold() in GATHERED or in_one_breath or _ADDS.search(card.quote) is not None


def _parts(card: Card) -> list[str]:
    """The values that a card holds together."""
    return card.value.split(" and ") if _several(card) else [card.value]


def _among(values: Sequence[str], held: Sequence[str]) -> bool:
    return all(any(_same(value, other) for other in held) for value in values)


def _same(one: str, other: str) -> bool:
    return one.casefold() == other.casefold()


def _unlike(values: Sequence[str], held: Sequence[str]) -> list[str]:
    """Each once; a value that holds another ("Oslo East", "Oslo") is no contradiction of it."""
    found: list[str] = []
    for value in values:
        if not any(_same(value, other) for other in found) and not any(contains(value, h) or contains(h, value) for h in held):
            found.append(value)
    return found
