"""Words of a person against texts of the ledger: does a text hold a query, does it speak of a card, which card fits best.

Pure. Compares whole words, whatever their case and their form in Unicode; a script that writes no spaces, and a sign
that is no letter, are compared as they stand.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable

from sleepd.records import Card

FORGOTTEN = "(forgotten)"
"""What stands where a forgotten text stood."""

USER = "user"
_EDGES = "\"'`.,;:!?()[]{}<>«»„“”‘’¿¡。、，？！"
_SELF = frozenset(("i", "me", "my", "mine", "myself"))
# Words that say nothing of which fact is meant.
_COMMON = frozenset(
    (
        "a an and are as at be by called can did do does for from has have he her his how i in is it its know me my of on or "
        "our please remind she tell than that the their them then there they this to us was we were what when where which who whom "
        "whose why will with would you your"
    ).split()
)
_SPACELESS = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff]")
_STEM = 4
Test = Callable[[str], bool]


def plain(text: str) -> str:
    """A text as it is compared: one form of each letter, no case, single spaces."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def words(text: str) -> list[str]:
    """The words of a query, without the marks around them."""
    return [word for part in plain(text).split() if (word := part.strip(_EDGES) or part)]


def holder(phrase: str) -> Test:
    """A test of whether a plain text holds ``phrase`` as whole words; nothing holds an empty one."""
    wanted = plain(phrase)
    if not wanted:
        return lambda text: False
    before = r"(?<!\w)" if _spaced(wanted[0]) else ""
    behind = r"(?!\w)" if _spaced(wanted[-1]) else ""
    pattern = re.compile(before + re.escape(wanted) + behind)
    return lambda text: wanted in text and pattern.search(text) is not None


def holds_all(query: str) -> Test:
    """A test of whether a plain text holds every word of ``query``; nothing holds a query without words."""
    tests = [holder(word) for word in words(query)]
    return lambda text: bool(tests) and all(test(text) for test in tests)


def card_text(card: Card) -> str:
    """All that can be searched of a card, as a plain text."""
    return plain("\n".join((card.subject, card.relation, card.value, card.quote)))


def speaks_of(card: Card) -> Test:
    """A test of whether a plain text states a card: its value, with its subject or, for the user's own, its relation.

    The value alone would not do: two people may live in one town.
    """
    value, quote = holder(card.value), holder(card.quote)
    about = card.relation if card.subject == USER else card.subject.removeprefix(f"{USER}'s ")
    subject = holder(about)
    return lambda text: (value(text) and subject(text)) or quote(text)


def best(query: str, cards: Iterable[Card]) -> list[Card]:
    """The cards that an answer or a question is about, best first: those within half of the best one's score."""
    asked = words(query)
    scored = [(score, card) for card in cards if (score := _score(asked, plain(query), card)) > 0]
    scored.sort(key=lambda pair: -pair[0])
    return [card for score, card in scored if score * 2 > scored[0][0]]


def _score(asked: list[str], query: str, card: Card) -> float:
    """Value and subject weigh most; without either of them the words of the sentence are no evidence."""
    own = card.subject == USER or card.subject.startswith(f"{USER}'s ")
    subject = words(card.subject.removeprefix(f"{USER}'s "))
    named = card.subject != USER and any(word.removesuffix("'s") in subject for word in asked)
    meant = own and any(word in _SELF for word in asked)
    value = holder(card.value)(query) or any(word in asked for word in words(card.value) if word not in _COMMON)
    relation = _shared(asked, words(card.relation))
    sentence = _shared(asked, words(card.quote))
    if not (value or named or (meant and (relation or sentence))):
        return 0.0
    return 3.0 * value + 3.0 * named + 1.0 * meant + 2.0 * relation + 0.5 * sentence


def _shared(asked: list[str], told: list[str]) -> int:
    return sum(any(_alike(word, other) for other in told) for word in set(asked) if word not in _COMMON)


def _alike(one: str, other: str) -> bool:
    """The same word, or one of its forms: live and lives, work and worked."""
    short, long = sorted((one, other), key=len)
    return short == long or (len(short) >= _STEM and long.startswith(short) and len(long) - len(short) <= 3)


def _spaced(sign: str) -> bool:
    return sign.isalnum() and not _SPACELESS.match(sign)
