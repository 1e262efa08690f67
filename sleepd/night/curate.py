"""Decides what a night learns: which cards to store, correct or leave, and which replies are examples."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from sleepd.experience.clauses import ROLE_TOKEN
from sleepd.night.job import Job, KnownCard
from sleepd.night.sessions import earlier_turns, moment
from sleepd.night.slots import Action, Candidate, CardDecision, Slot, settle, slot_of
from sleepd.records import Card, Experience, ScreenVerdict

__all__ = ["Action", "CardDecision", "Curated", "Example", "choose_examples", "curate", "decide_cards", "newest_first"]

Recalls = Callable[[Sequence[Card]], list[bool]]  # does the base answer these cards already?

_LIVING = ("learning", "graduated", "fading", "stubborn")
_UNFIT = ("collapsed", "role_tokens", "tool_json", "secret", "personal_data")  # not even as what was said before


@dataclass(frozen=True)
class Example:
    """A conversation whose reply is worth imitating.

    ``history``: the exchanges right before it in its session, (prompt, reply) each, oldest first, at most three. They
    are what the reply answers too; nothing is learned from them.
    """

    experience_id: str
    prompt: str
    reply: str
    salience: float
    history: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Decided:
    """``superseded``: earlier cards whose value was corrected or taken back. ``negatives``: as in Curated."""

    decisions: tuple[CardDecision, ...]
    superseded: tuple[Card, ...]
    negatives: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Curated:
    """Tonight's material. ``superseded``: earlier cards whose value was corrected or taken back.

    ``waiting``: experiences that had no room tonight. ``negatives``: card id -> values that once held in its place,
    newest first, none of which holds or is held by the new value. ``quarantined``: (experience id, reason).
    """

    decisions: tuple[CardDecision, ...]
    examples: tuple[Example, ...]
    living: tuple[KnownCard, ...]
    superseded: tuple[Card, ...]
    waiting: tuple[str, ...] = ()
    negatives: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    quarantined: tuple[tuple[str, str], ...] = ()

    @property
    def cards(self) -> tuple[Card, ...]:
        return tuple(d.card for d in self.decisions if d.action in ("STORE", "CORRECT"))


def newest_first(rows: Sequence[tuple[Experience, ScreenVerdict]]) -> list[tuple[Experience, ScreenVerdict]]:
    """Rows by time, the newest first; entries without a time come last, by session and place in it where they have any."""

    def age(row: tuple[Experience, ScreenVerdict]) -> tuple[datetime, int, int]:
        experience, turn = row[0], row[0].metadata.get("turn")
        at = moment(experience.timestamp)
        if at is not None:
            return at, 0, 0
        return datetime.min.replace(tzinfo=UTC), experience.session or 0, turn if isinstance(turn, int) else 0

    return sorted(rows, key=age, reverse=True)


def decide_cards(job: Job, base_recalls: Recalls) -> Decided:
    """One decision a card, with its reason; at most one STORE or CORRECT a slot, and ``training.max_cards`` in all.

    The most important go first. The base is asked only for as many as there is room for.
    """
    said: dict[Slot, list[Card]] = {}
    for _, verdict in reversed(newest_first(job.experiences)):
        for card in verdict.cards:
            said.setdefault(slot_of(card), []).append(card)
    living = _by_slot([known.card for known in job.cards if known.card.status in _LIVING])
    past = _by_slot([*(known.card for known in job.cards if known.card.status == "superseded"), *job.said])
    now = moment(job.created) or max(
        (at for experience, _ in job.experiences if (at := moment(experience.timestamp))), default=datetime.min.replace(tzinfo=UTC)
    )
    decisions: list[CardDecision] = []
    superseded: list[Card] = []
    candidates: list[Candidate] = []
    for slot, cards in said.items():
        outcome = settle(cards, living.get(slot, ()), past.get(slot, ()), now)
        decisions += outcome.decisions
        superseded += (replace(card, status="superseded") for card in outcome.ended)
        candidates += [outcome.candidate] if outcome.candidate else []
    room = int(job.training["max_cards"])
    candidates.sort(key=lambda candidate: -candidate.card.importance)
    negatives: dict[str, tuple[str, ...]] = {}
    while candidates and room > 0:
        batch, candidates = candidates[:room], candidates[room:]
        fresh = [candidate.card for candidate in batch if not candidate.replaces]
        known = {card.id for card, recalled in zip(fresh, base_recalls(fresh), strict=True) if recalled} if fresh else set()
        for candidate in batch:
            if candidate.card.id in known:
                decisions.append(CardDecision(candidate.card, "KNOWN", "the base model answers it already"))
                continue
            room -= 1
            decisions.append(CardDecision(candidate.card, candidate.action, candidate.reason))
            superseded += (replace(card, status="superseded") for card in candidate.replaces)
            if candidate.negatives:
                negatives[candidate.card.id] = candidate.negatives
    decisions += [CardDecision(candidate.card, "WAIT", "more cards than training.max_cards") for candidate in candidates]
    return Decided(tuple(decisions), tuple(superseded), negatives)


def _by_slot(cards: Sequence[Card]) -> dict[Slot, list[Card]]:
    found: dict[Slot, list[Card]] = {}
    for card in cards:
        found.setdefault(slot_of(card), []).append(card)
    return found


def choose_examples(job: Job) -> list[Example]:
    """Behaviour examples, highest salience first, one a prompt: one prompt never gets several answers.

    A prompt with chat markup in it is nobody's ordinary words, and no example.
    """
    replies = {experience.id: verdict.trimmed or experience.response for experience, verdict in job.experiences}
    unfit = {e.id for e, v in job.experiences if any(r.startswith(_UNFIT) for r in v.reasons) or ROLE_TOKEN.search(e.prompt)}
    earlier = earlier_turns([experience for experience, _ in job.experiences], sound=lambda experience: experience.id not in unfit)
    chosen: dict[str, Example] = {}
    rows = sorted(job.experiences, key=lambda row: -row[0].salience.total)
    for experience, verdict in rows:
        key = " ".join(experience.prompt.casefold().split())
        fit = verdict.example and experience.id not in unfit and experience.salience.total >= job.min_salience
        if fit and key not in chosen:
            history = tuple((before.prompt, replies[before.id]) for before in earlier[experience.id])
            chosen[key] = Example(experience.id, experience.prompt, replies[experience.id], experience.salience.total, history)
    return list(chosen.values())


def curate(job: Job, base_recalls: Recalls) -> Curated:
    """Everything a night will teach: at most ``training.max_cards`` cards and ``training.max_examples`` conversations."""
    decided = decide_cards(job, base_recalls)
    gone = {card.id for card in decided.superseded}
    living = tuple(k for k in job.cards if k.card.status in _LIVING and k.card.id not in gone)
    examples = choose_examples(job)
    limit = int(job.training["max_examples"])
    waiting = tuple(example.experience_id for example in examples[limit:])
    return Curated(decided.decisions, tuple(examples[:limit]), living, decided.superseded, waiting, decided.negatives)
