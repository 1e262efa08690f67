"""A card's life: which status follows from what happens to it. Pure; the child proposes with it, the daemon writes with it.

A night that the gate rejects, or that never ends, is nothing that happens to a card: nobody asks here for it, so
nothing is counted. What a card has lived through is held by two values, its status and its misses.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sleepd.records import CardStatus

LIVING: tuple[CardStatus, ...] = ("learning", "graduated", "fading", "stubborn")
"""In the weights, or on the way there."""

STUBBORN_AFTER = 3
"""So many nights in a row a card is taught without being recalled before it is reported and no longer pressed."""

Happening = Literal["told", "taught", "probed", "corrected", "forgotten", "withdrawn"]
"""told: a person said it (again). taught: a committed night taught it and asked for it. probed: a committed night only
asked. corrected: a newer value took its place. forgotten: a person wants it gone. withdrawn: the adapter that learned it
left service."""


@dataclass(frozen=True)
class Life:
    """``misses``: nights in a row on which the card was taught and afterwards not recalled."""

    status: CardStatus = "new"
    misses: int = 0


def after(life: Life, happening: Happening, *, recalled: bool = False) -> Life:
    """The life of a card after one happening. ``recalled``: what the night's evaluation found, for taught and probed."""
    match happening:
        case "corrected":
            return Life("superseded")
        case "forgotten":
            return Life("forgotten")
        case "withdrawn":
            return Life("new", life.misses) if life.status in LIVING else life
        case "told":
            return life if life.status in LIVING else Life("new")
        case "taught":
            return _taught(life, recalled)
        case "probed":
            return _probed(life, recalled)


def comes_back(life: Life) -> bool:
    """Whether the next light night teaches it again, in more wordings, instead of only replaying it."""
    return life.status == "learning"


def _taught(life: Life, recalled: bool) -> Life:
    if recalled:
        return Life("graduated")
    misses = (life.misses if life.status in (*LIVING, "new") else 0) + 1  # one that had gone begins anew
    if life.status == "stubborn" or misses >= STUBBORN_AFTER:
        return Life("stubborn", misses)
    return Life("fading" if life.status in ("graduated", "fading") else "learning", misses)


def _probed(life: Life, recalled: bool) -> Life:
    if life.status not in LIVING:
        return life  # it is not in the weights, so an answer says nothing of it
    if recalled:
        return Life("graduated")
    return Life("fading", life.misses) if life.status == "graduated" else life
