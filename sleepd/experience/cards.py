"""Cards by pattern: facts that the user, or a trusted tool, stated in so many words.

What the assistant said is never read. Nothing found is a fine answer; a wrong card is worse than none.
What the user takes back ("I don't live in Oslo any more") is a card too, with the status "superseded".
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator

from sleepd.experience.clauses import Clause, statements
from sleepd.experience.forms import USER, Match, read, read_small
from sleepd.records import Card, Experience

_MARKED = 0.2  # what "please remember" adds to a card's importance
_CORRECTS = 0.1


def card_id(subject: str, relation: str, value: str) -> str:
    """16 hex digits, the same however the three are capitalised."""
    return hashlib.sha256("|".join((subject, relation, value)).lower().encode("utf-8", "replace")).hexdigest()[:16]


def importance(salience: float, *, marked: bool, corrects: bool) -> float:
    """How much a fact matters, 0..1: the exchange's total salience, which is 0..1 itself, and what its speaker made of it.

    0.2 more for a sentence that asks to be remembered ("remember", "important", "don't forget", "keep in mind",
    "note"), 0.1 more for one that corrects ("no, ...", "actually", "I was wrong"); never above 1.
    """
    return round(min(1.0, max(0.0, salience) + _MARKED * marked + _CORRECTS * corrects), 4)


def extract(experience: Experience, trusted_tools: Collection[str] = ()) -> tuple[Card, ...]:
    """The facts of one exchange, in the order in which they were said, each once.

    ``trusted_tools``: names of tools whose successful results count as well; facts about the user's own
    person are not taken from them, since a tool's "I" is not the user.
    """
    found: dict[str, Card] = {}
    for speaker, text in _sources(experience, trusted_tools):
        for clause, match in _facts(text):
            if speaker == USER or not match.subject.startswith(USER):
                card = _card(experience, speaker, clause, match)
                before = found.get(card.id)
                if match.value in text and (before is None or before.status != card.status):  # the last word counts
                    found.pop(card.id, None)
                    found[card.id] = card
    return tuple(found.values())


def _sources(experience: Experience, trusted_tools: Collection[str]) -> Iterator[tuple[str, str]]:
    yield USER, experience.prompt
    for call in experience.tool_calls:
        name, result = call.get("name"), call.get("result")
        if isinstance(name, str) and name in trusted_tools and isinstance(result, str) and call.get("success") is True:
            yield f"tool:{name}", result


def _facts(text: str) -> Iterator[tuple[Clause, Match]]:
    written = text.replace("I", "")
    reader = read if written != written.lower() else read_small
    for readings in statements(text):
        told: set[tuple[str, str, bool]] = set()
        for clause in readings:
            # a sentence is read whole before its parts, and says one thing of a kind
            matches = [match for match in reader(clause.text) if (match.subject, match.relation, clause.over) not in told]
            told.update((match.subject, match.relation, clause.over) for match in matches)
            yield from ((clause, match) for match in matches)


def _card(experience: Experience, speaker: str, clause: Clause, match: Match) -> Card:
    return Card(
        id=card_id(match.subject, match.relation, match.value),
        subject=match.subject,
        relation=match.relation,
        value=match.value,
        quote=clause.quote,
        speaker=speaker,
        time=experience.timestamp,
        session=experience.session,
        importance=importance(experience.salience.total, marked=clause.marked, corrects=clause.corrects),
        experience_id=experience.id,
        status="superseded" if clause.over else "new",
    )
