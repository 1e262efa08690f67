"""Which earlier cards a night asks for: all of them while they are few, then those that are due. Pure; reads and stores nothing.

A card's memory is estimated from its probes with FSRS-6 (the free spaced repetition scheduler, open-spaced-repetition,
version 6) at its published default weights: a probe that recalled the card is a review rated "good", one that did not is
"again". What FSRS says of people is only a prior here, so that cards that failed, or whose answer became unlikely, are
asked for whatever it says, and a random share is asked for anyway.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

EVERY_CARD = 1000
"""Up to so many cards all are asked for every night; above, at most so many that are due."""
DUE_BELOW = 0.9
LOSS_RISE = 1.0
RANDOM_SHARE = 0.1

# FSRS-6's default parameters w0..w20.
WEIGHTS = (
    *(0.212, 1.2931, 2.3065, 8.2956),  # stability after the first review, by rating
    *(6.4133, 0.8334, 3.0194, 0.001),  # difficulty
    *(1.8722, 0.1666, 0.796),  # stability after a recall
    *(1.4835, 0.0614, 0.2629, 1.6483),  # stability after a lapse
    *(0.6014, 1.8729),  # the ratings "hard" and "easy", which a probe never has
    *(0.5425, 0.0912, 0.0658),  # a second review on the same day
    0.1542,  # how the curve of forgetting bends
)
_W = WEIGHTS
_AGAIN, _GOOD, _EASY = 1, 3, 4
_DECAY = -_W[20]
_FACTOR = 0.9 ** (1 / _DECAY) - 1
_LEAST_STABILITY = 0.001


@dataclass(frozen=True)
class Asked:
    """One probe. ``day``: when, in days since any fixed moment; ``loss``: nats per token of the right answer, if measured."""

    day: float
    recalled: bool
    loss: float | None = None


@dataclass(frozen=True)
class Memory:
    """What the probes say of a card. ``stability``: days until 90 % are left; ``difficulty`` 1..10; ``day`` of the last probe."""

    stability: float
    difficulty: float
    day: float


def remember(probes: Iterable[Asked]) -> Memory | None:
    """The memory after these probes, oldest first; None when there were none."""
    stability = difficulty = day = 0.0
    for probe in probes:
        rating = _GOOD if probe.recalled else _AGAIN
        if not stability:
            stability, difficulty, day = _W[rating - 1], _within(_first_difficulty(rating)), probe.day
            continue
        days = _days(day, probe.day)
        if days < 1:
            stability = _same_day(stability, rating)
        elif probe.recalled:
            stability = _recalled(stability, difficulty, _chance(stability, days))
        else:
            stability = _lapsed(stability, difficulty, _chance(stability, days))
        stability, difficulty, day = max(stability, _LEAST_STABILITY), _difficulty(difficulty, rating), probe.day
    return Memory(stability, difficulty, day) if stability else None


def retrievability(memory: Memory, day: float) -> float:
    """The chance that the card is recalled on ``day``, 0..1."""
    return _chance(memory.stability, _days(memory.day, day))


def due(cards: Iterable[tuple[str, Sequence[Asked]]], today: float, seed: int) -> frozenset[str]:
    """The ids of the cards to ask for tonight. ``cards``: each id with its probes, oldest first; read once, in order.

    Of more than 1,000 cards those whose retrievability is under 0.9, that failed at their last probe, that were never
    asked for, or whose loss lies over one nat above its lowest; the least retrievable first, at most 1,000. And a random
    tenth of all, another one for every ``seed``.
    """
    urgency = {name: _urgency(probes, today) for name, probes in cards}
    if len(urgency) <= EVERY_CARD:
        return frozenset(urgency)
    wanted = sorted((chance, name) for name, chance in urgency.items() if chance < DUE_BELOW)
    lucky = random.Random(f"due-{seed}").sample(sorted(urgency), math.ceil(RANDOM_SHARE * len(urgency)))
    return frozenset(name for _, name in wanted[:EVERY_CARD]) | frozenset(lucky)


def _urgency(probes: Sequence[Asked], today: float) -> float:
    """Retrievability, or less than nothing for a card that has shown that it needs asking."""
    memory = remember(probes)
    if memory is None or not probes[-1].recalled:
        return -2.0
    losses = [probe.loss for probe in probes if probe.loss is not None]
    if losses and losses[-1] - min(losses) > LOSS_RISE:
        return -1.0
    return retrievability(memory, today)


def _chance(stability: float, days: int) -> float:
    return float((1 + _FACTOR * days / stability) ** _DECAY)


def _days(earlier: float, later: float) -> int:
    """Whole days between; rounded, because tonight's cycle may begin a few minutes earlier than last night's."""
    return max(0, round(later - earlier))


def _first_difficulty(rating: int) -> float:
    return float(_W[4] - math.exp(_W[5] * (rating - 1)) + 1)


def _within(difficulty: float) -> float:
    return min(10.0, max(1.0, difficulty))


def _difficulty(before: float, rating: int) -> float:
    moved = before - _W[6] * (rating - 3) * (10.0 - before) / 9.0
    return _within(_W[7] * _first_difficulty(_EASY) + (1 - _W[7]) * moved)


def _same_day(stability: float, rating: int) -> float:
    change = float(math.exp(_W[17] * (rating - 3 + _W[18])) * stability ** -_W[19])
    return stability * (max(1.0, change) if rating >= _GOOD else change)


def _recalled(stability: float, difficulty: float, chance: float) -> float:
    eased = math.exp(_W[8]) * (11 - difficulty) * stability ** -_W[9] * (math.exp((1 - chance) * _W[10]) - 1)
    return float(stability * (1 + eased))


def _lapsed(stability: float, difficulty: float, chance: float) -> float:
    left = _W[11] * difficulty ** -_W[12] * ((stability + 1) ** _W[13] - 1) * math.exp((1 - chance) * _W[14])
    return float(min(left, stability / math.exp(_W[17] * _W[18])))
