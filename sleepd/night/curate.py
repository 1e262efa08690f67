"""Decides what a night learns: which cards to store, correct or leave, and which replies are examples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from sleepd.night.job import Job, KnownCard
from sleepd.records import Card, Experience, ScreenVerdict

Action = Literal["STORE", "CORRECT", "KNOWN", "REJECT", "WAIT"]
Recalls = Callable[[Sequence[Card]], list[bool]]  # does the base answer these cards already?

_LIVING = ("learning", "graduated", "fading", "stubborn")


@dataclass(frozen=True)
class CardDecision:
    """What becomes of one card, and why."""

    card: Card
    action: Action
    reason: str


@dataclass(frozen=True)
class Example:
    """A conversation whose reply is worth imitating."""

    experience_id: str
    prompt: str
    reply: str
    salience: float


@dataclass(frozen=True)
class Curated:
    """Tonight's material. ``superseded``: earlier cards whose value was corrected.

    ``waiting``: experiences whose replies had no room among tonight's examples.
    """

    decisions: tuple[CardDecision, ...]
    examples: tuple[Example, ...]
    living: tuple[KnownCard, ...]
    superseded: tuple[Card, ...]
    waiting: tuple[str, ...] = ()

    @property
    def cards(self) -> tuple[Card, ...]:
        return tuple(d.card for d in self.decisions if d.action in ("STORE", "CORRECT"))


def _slot(card: Card) -> tuple[str, str, str]:
    """What two cards must share to contradict each other: the speaker too, for two people may disagree."""
    return (card.speaker, card.subject.lower(), card.relation.lower())


def newest_first(rows: Sequence[tuple[Experience, ScreenVerdict]]) -> list[tuple[Experience, ScreenVerdict]]:
    """Rows by time, the newest first; entries without a time keep their order at the end."""
    return sorted(rows, key=lambda row: row[0].timestamp or "", reverse=True)


def decide_cards(job: Job, base_recalls: Recalls) -> tuple[list[CardDecision], list[Card]]:
    """One decision a card. The newest value of a person's statement wins; older ones are rejected or superseded."""
    living = {_slot(known.card): known.card for known in job.cards if known.card.status in _LIVING}
    decisions: list[CardDecision] = []
    superseded: list[Card] = []
    candidates: list[tuple[Card, Card | None]] = []
    seen: dict[tuple[str, str, str], Card] = {}
    for _, verdict in newest_first(job.experiences):
        for card in reversed(verdict.cards):
            slot = _slot(card)
            earlier = living.get(slot)
            newer = seen.get(slot)
            if newer is not None:
                same = newer.value.lower() == card.value.lower()
                decisions.append(CardDecision(card, "REJECT", "said again later" if same else f"corrected later to {newer.value!r}"))
            elif earlier is not None and earlier.value.lower() == card.value.lower():
                decisions.append(CardDecision(card, "KNOWN", "already learned on an earlier night"))
                seen[slot] = card
            else:
                seen[slot] = card
                candidates.append((card, earlier))
    known = base_recalls([card for card, _ in candidates])
    for (card, earlier), recalled in zip(candidates, known, strict=True):
        if earlier is not None:
            superseded.append(replace(earlier, status="superseded"))
            decisions.append(CardDecision(card, "CORRECT", f"replaces {earlier.value!r}"))
        elif recalled:
            decisions.append(CardDecision(card, "KNOWN", "the base model answers it already"))
        else:
            decisions.append(CardDecision(card, "STORE", "new"))
    return decisions, superseded


def choose_examples(job: Job) -> list[Example]:
    """Behaviour examples, highest salience first, one a prompt: one prompt never gets several answers."""
    chosen: dict[str, Example] = {}
    rows = sorted(job.experiences, key=lambda row: -row[0].salience.total)
    for experience, verdict in rows:
        if verdict.example and experience.salience.total >= job.min_salience and experience.prompt not in chosen:
            reply = verdict.trimmed or experience.response
            chosen[experience.prompt] = Example(experience.id, experience.prompt, reply, experience.salience.total)
    return list(chosen.values())


def curate(job: Job, base_recalls: Recalls) -> Curated:
    """Everything a night will teach, at most ``training.max_cards`` cards (most important first)."""
    decisions, superseded = decide_cards(job, base_recalls)
    wanted = sorted((d for d in decisions if d.action in ("STORE", "CORRECT")), key=lambda d: -d.card.importance)
    over = {d.card.id for d in wanted[int(job.training["max_cards"]) :]}
    decisions = [CardDecision(d.card, "WAIT", "more cards than training.max_cards") if d.card.id in over else d for d in decisions]
    gone = {card.id for card in superseded}
    living = tuple(k for k in job.cards if k.card.status in _LIVING and k.card.id not in gone)
    examples = choose_examples(job)
    limit = int(job.training["max_examples"])
    waiting = tuple(example.experience_id for example in examples[limit:])
    return Curated(tuple(decisions), tuple(examples[:limit]), living, tuple(superseded), waiting)
