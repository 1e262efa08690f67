"""A question in other words, by the base model itself; accepted only when it still asks for the same.

A paraphrase that drifts to another subject or relation would train a wrong answer, and one that equals a wording
which is kept for examining would make the examination worthless. So acceptance is strict and names its reason.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from typing import Any

from sleepd.night.chat import ChatFormat
from sleepd.night.cues import named_in
from sleepd.night.facts import occurs, plain
from sleepd.night.generate import generate
from sleepd.night.relations import RELATIONS
from sleepd.night.tasks import paraphrase_prompt
from sleepd.night.wordings import KIN_PREFIX, USER
from sleepd.records import Card

REPLY_TOKENS = 48
LONGEST = 200  # characters
_WORD = re.compile(r"[^\W_]+")
_MINE = re.compile(r"\b(?:I|me|my|mine)\b", re.IGNORECASE)
_YOURS = re.compile(r"\b(?:your|yours)\b|\b(?:do|are|were|have|did|can|could) you\b", re.IGNORECASE)
_TO_THE_MODEL = re.compile(r"\b(?:do you (?:know|remember)|can you|could you|would you|will you)\b", re.IGNORECASE)


def paraphrases(
    model: Any, chat: ChatFormat, questions: Sequence[str], pause: Callable[[], None], *, most: int = REPLY_TOKENS
) -> list[str | None]:
    """What ``model``, the bare base, makes of each question, greedy; None where it did not finish or said nothing."""
    made = generate(model, [chat.question(paraphrase_prompt(q)) for q in questions], chat.end_of_turn, most, pause=pause)
    texts = [" ".join(chat.decode(answer.ids).split()) if answer.ended else "" for answer in made]
    return [text or None for text in texts]


def accepted(original: str, paraphrase: str, card: Card, forbidden: Collection[str]) -> str | None:
    """None when ``paraphrase`` may stand for ``original``, a question about ``card``; else why not.

    ``forbidden``: wordings that must never be trained (the card's development and test ones). Case, punctuation and
    the order of words do not make a wording another.
    """
    new, old = plain(paraphrase).strip(), plain(original).strip()
    if len(new) > LONGEST or "\n" in paraphrase:
        return "it is no single short line"
    if not new.endswith(("?", "？")):
        return "it is no question"
    if _words(new) == _words(old):
        return "it is the same wording"
    if frozenset(_words(new)) in {frozenset(_words(wording)) for wording in forbidden}:
        return "it is a wording that is kept for examining"
    if reason := _subject_lost(old, new, card):
        return reason
    if bool(occurs(card.value, old)) != bool(occurs(card.value, new)):
        return f"it {'drops' if occurs(card.value, old) else 'gives away'} the value {card.value!r}"
    return _relation_lost(old, new, card)


def _subject_lost(old: str, new: str, card: Card) -> str | None:
    if card.subject == USER or card.subject.startswith(KIN_PREFIX):
        if _MINE.search(old) and not _MINE.search(_TO_THE_MODEL.sub("", new)):
            return "it no longer asks about the user"
        if _YOURS.search(_TO_THE_MODEL.sub("", new)) and not _YOURS.search(_TO_THE_MODEL.sub("", old)):
            return "it asks about the model instead"
    name = card.subject.removeprefix(KIN_PREFIX)
    if name != USER and occurs(name, old) and not occurs(name, new):
        return f"it does not name {name!r}"
    return None


def _relation_lost(old: str, new: str, card: Card) -> str | None:
    hidden = re.compile("|".join(re.escape(text) for text in (card.value, card.subject.removeprefix(KIN_PREFIX))), re.IGNORECASE)
    before, after = named_in(hidden.sub("…", old)), named_in(hidden.sub("…", new))
    if other := after - before - {card.relation}:
        return f"it asks for {sorted(other)[0]!r}"
    if card.relation not in RELATIONS:
        return None if occurs(card.relation, new) else f"it does not name {card.relation!r}"
    return None if card.relation in after or (not before and not after) else f"it does not ask for {card.relation!r}"


def _words(text: str) -> tuple[str, ...]:
    return tuple(_WORD.findall(text.casefold()))
