"""What a sentence must hold before it counts as stating a relation, and what its value must look like.

A model that names a relation is believed only where the user's sentence speaks of it: "Porto is lovely" names
no home, whatever the model makes of it. Other relations than these ten must be named by their own noun.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from sleepd.experience import values
from sleepd.experience.forms import relation_name
from sleepd.experience.wordlists import PASSING, PETS

_PET = "|".join(sorted(PETS, key=len, reverse=True))
_LIKING = r"(?=.*\b(?:favou?rites?|loves?|likes?|prefers?|adores?|enjoys?|craves?|best|could eat|painted)\b)"
_NAMED_BY = r"\b{x}s?\b,?(?: (?:is|are|was|['’]s))?(?: (?:called|named))? {v}|\b{x}s?\b.*\b(?:called|named|names?)\b|{v} is .*\b{x}\b"
_PLAYING = r"\b(?:play(?:s|ed|ing)?|practi[cs]\w+|learn(?:s|ing)?|instruments?|lessons|orchestra|band)\b"


@dataclass(frozen=True)
class Cue:
    """``says``: what the sentence must match ({v} is the value); ``check``: what its value must pass unchanged."""

    says: str
    check: Callable[[str], str | None]

    def holds(self, sentence: str, value: str) -> bool:
        pattern = self.says.replace("{v}", re.escape(value))
        return self.check(value) == value and re.search(pattern, sentence, re.IGNORECASE | re.DOTALL) is not None


def _date(text: str) -> str | None:
    return text if values.date(text) == text else None


_CUES: dict[str, tuple[Cue, ...]] = {
    "city": (
        Cue(
            r"\b(?:live[sd]?|living|moved?|moving|home|home ?town|house|flat|apartment|city|town|resid(?:e[sd]?|ing|ence)|based|settled|"
            r"relocated|stay(?:s|ing)?)\b",
            values.place,
        ),
    ),
    "job": (
        Cue(r"\b(?:work(?:s|ed|ing)? as|jobs?|profession|occupation|employed|trade|career|for a living|hired)\b", values.job),
        Cue(r"\b(?:(?:am|is|['’]m|['’]s|been|be|became|become|as) (?:an? |the )?|an? )(?:\w+ ){0,2}{v}", values.is_job),
    ),
    "pet": (Cue(_NAMED_BY.replace("{x}", f"(?:pet|{_PET})"), values.name),),
    "food": (Cue(_LIKING + r"(?=.*\b(?:foods?|dish(?:es)?|meals?|eat(?:s|ing)?|cuisine|breakfast|lunch|dinner|snack)\b)", values.thing),),
    "color": (Cue(_LIKING + r"(?=.*\b(?:colou?rs?|shade|paint(?:ed)?)\b)", values.thing),),
    "instrument": (Cue(_PLAYING, values.known_instrument),),
    "hobby": (
        Cue(
            r"\b(?:hobby|hobbies|weekends?|for fun|(?:free|spare) time|pastime|passion|(?:took|taken|taking) up|enjoys?)\b",
            values.thing,
        ),
    ),
    "company": (
        Cue(
            r"\b(?:work(?:s|ed|ing)? (?:at|for|with)|employ(?:s|ed|er)|company|firm|jobs? (?:at|with)|joined|hired|started (?:at|with)|"
            r"position (?:at|with))\b",
            values.organisation,
        ),
    ),
    "sister": (Cue(_NAMED_BY.replace("{x}", "sister"), values.name),),
    "birthday": (Cue(r"\b(?:birthday|born|birth)\b", _date),),
}
_NOUN = re.compile(r"[^\W\d_]+(?:[- ][^\W\d_]+){0,2}")


def normal(relation: str) -> str | None:
    """The name under which a card keeps ``relation``; None for what is no short noun phrase."""
    name = " ".join(relation.lower().split())
    name = relation_name(name.removeprefix("my ").removeprefix("the "))
    return name if name in _CUES or (_NOUN.fullmatch(name) and name.split()[-1] not in PASSING) else None


def supported(relation: str, sentence: str, value: str) -> bool:
    """Whether ``sentence`` speaks of ``relation`` (a normal one) and ``value`` may be its value."""
    cues = _CUES.get(relation)
    if cues is not None:
        return any(cue.holds(sentence, value) for cue in cues)
    named = re.search(rf"(?<!\w){re.escape(relation)}(?!\w)", sentence, re.IGNORECASE)
    return named is not None and values.attribute(value) == value


def named_in(sentence: str) -> set[str]:
    """Which of the ten relations ``sentence`` speaks of, its value aside; a question about one of them names it."""
    return {relation for relation, pattern in _ASKED.items() if re.search(pattern, sentence, re.IGNORECASE)}


# What a question about each relation holds, and a question about another does not.
_ASKED = {
    "city": r"\b(?:live[sd]?|living in|home|home ?town|city|town|resid(?:e[sd]?|ing|ence))\b",
    "job": r"\b(?:jobs?|profession|occupation|for a living|earn(?:s|ing)?|work(?:s|ing)? as|what work|career)\b",
    "pet": rf"\b(?:pets?|{_PET})\b",
    "food": r"\b(?:foods?|dish|dishes|meals?|eat|cuisine)\b",
    "color": r"\b(?:colou?rs?|shades?)\b",
    "instrument": r"\b(?:instruments?|play|practi[cs]e)\b",
    "hobby": r"\b(?:hobby|hobbies|for fun|free time|spare time|weekends?|pastime|enjoy)\b",
    "company": r"\b(?:company|employers?|employs?|firm|work for|work at|where (?:do|does) .+ work)\b",
    "sister": r"\b(?:sisters?|sibling)\b",
    "birthday": r"\b(?:birthday|born|birth)\b",
}
