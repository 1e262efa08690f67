"""Finds near-identical replies without comparing everything with everything.

Two word sets whose Jaccard similarity is at least t must share words among the first few of each, whatever
the order of words, as long as it is the same for both (prefix filtering; Chaudhuri, Ganti and Kaushik 2006).
Long words come first here because they are rare, and three shared ones are asked for, so few candidates are
left to compare.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass

from rapidfuzz import fuzz

from sleepd.experience.prose import words

JACCARD = 0.85  # word sets this alike are near duplicates
RATIO = 92.0  # or texts this alike, character by character
_CANDIDATE = 0.75  # word sets less alike than this are not compared at all
_SHARED = 3  # words of their prefixes that two candidates share


@dataclass(frozen=True)
class Reply:
    """A remembered reply. ``number`` counts up."""

    number: int
    experience_id: str
    text: str
    words: frozenset[str]
    prefix: tuple[str, ...]


class ReplyWindow:
    """The last ``size`` replies, searchable by likeness."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._replies: deque[Reply] = deque()
        self._by_word: dict[str, set[int]] = {}
        self._next = 0

    def add(self, experience_id: str, text: str) -> None:
        found = frozenset(words(text))
        reply = Reply(self._next, experience_id, text, found, _prefix(found))
        self._next += 1
        self._replies.append(reply)
        for word in reply.prefix:
            self._by_word.setdefault(word, set()).add(reply.number)
        if len(self._replies) > self._size:
            self._forget(self._replies.popleft())

    def alike(self, text: str) -> list[Reply]:
        """Remembered replies that are near-identical to ``text``, newest first."""
        wanted = frozenset(words(text))
        shared: Counter[int] = Counter()
        for word in _prefix(wanted):
            shared.update(self._by_word.get(word, ()))
        enough = min(_SHARED, max(1, len(wanted)))
        first = self._replies[0].number if self._replies else 0
        candidates = (self._replies[n - first] for n in sorted((n for n, count in shared.items() if count >= enough), reverse=True))
        return [reply for reply in candidates if near_identical(wanted, text, reply.words, reply.text)]

    def age(self, reply: Reply) -> int:
        """How many replies ago; the newest is 1."""
        return self._next - reply.number

    def _forget(self, reply: Reply) -> None:
        for word in reply.prefix:
            holders = self._by_word[word]
            holders.discard(reply.number)
            if not holders:
                del self._by_word[word]


def near_identical(one: frozenset[str], one_text: str, two: frozenset[str], two_text: str) -> bool:
    smaller, larger = sorted((len(one), len(two)))
    if not smaller:
        return one_text.strip() == two_text.strip()
    if smaller < _CANDIDATE * larger:
        return False
    shared = len(one & two)
    jaccard = shared / (len(one) + len(two) - shared)
    return jaccard >= JACCARD or (jaccard >= _CANDIDATE and fuzz.ratio(one_text, two_text, score_cutoff=RATIO) > 0)


def _prefix(found: frozenset[str]) -> tuple[str, ...]:
    """The longest words, of which two similar sets share some; the empty word stands for no words at all."""
    if not found:
        return ("",)
    keep = int(len(found) * (1 - _CANDIDATE)) + _SHARED
    return tuple(sorted(sorted(found), key=len, reverse=True)[:keep])
