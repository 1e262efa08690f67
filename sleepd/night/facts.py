"""A model's list of facts: read by a strict schema, and believed only where the user's own words bear it out.

Pure: no model, no job. A reply that breaks the schema is unreadable as a whole; a fact that is not borne out
is dropped alone, with its reason.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from sleepd.experience.clauses import Clause
from sleepd.experience.values import is_proper
from sleepd.experience.wordlists import NOT_SUBJECTS, PEOPLE, PETS
from sleepd.night import cues
from sleepd.night.wordings import KIN_PREFIX, USER

LONGEST_REPLY = 8000  # characters
MOST_FACTS = 20
_LONGEST = {"subject": 80, "relation": 40, "value": 120}

_FENCE = re.compile(r"\A```(?:json)?\s*(.*?)\s*```\Z", re.DOTALL | re.IGNORECASE)
_ME = re.compile(r"\b(?:I|me|my|mine|myself|we|us|our)\b", re.IGNORECASE)
_YOU = re.compile(r"\b(?:you|your|yours)\b", re.IGNORECASE)
_THEY = re.compile(r"\A(?:he|she|they|his|her|their)\b", re.IGNORECASE)
_KIN_NOUN = "|".join(sorted(PEOPLE | PETS, key=len, reverse=True))
_MY_KIN = re.compile(rf"\bmy (?:\w+ )?(?P<kin>{_KIN_NOUN})\b", re.IGNORECASE)
_KIN_SUBJECT = re.compile(r"(?:(?:the )?user['’]s|my) (?P<kin>[^\W\d_]+(?:[- ][^\W\d_]+){0,2})", re.IGNORECASE)
_UNSPACED = re.compile(r"[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_ELLIPTIC = 6  # words; a longer sentence than that says itself whom it is about


class Unreadable(ValueError):
    """Why a reply is no list of facts. Never leaves the extraction, which sets the exchange aside."""


@dataclass(frozen=True)
class Fact:
    """One fact as the model wrote it."""

    subject: str
    relation: str
    value: str


@dataclass(frozen=True)
class Grounded:
    """A fact in normal form. ``value`` is as the user wrote it, ``clause`` the statement that holds it."""

    subject: str
    relation: str
    value: str
    clause: Clause


@dataclass(frozen=True)
class Said:
    """What a fact must be borne out by: the statements of one message, and the turns before it.

    ``earlier``: what the user said before, oldest first; ``asked``: the reply that the message answers, or "".
    """

    clauses: Sequence[Clause]
    earlier: Sequence[str] = ()
    asked: str = ""


def parse(reply: str) -> list[Fact]:
    """The facts of ``{"facts": [{"subject", "relation", "value"}, ...]}``; Unreadable for anything else."""
    text = reply.strip()
    if fenced := _FENCE.match(text):
        text = fenced[1]
    if len(text) > LONGEST_REPLY:
        raise Unreadable(f"the reply has {len(text)} characters, more than {LONGEST_REPLY}")
    try:
        document = json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"the reply is no JSON: {str(error)[:80]}") from error
    if not isinstance(document, dict) or set(document) != {"facts"} or not isinstance(document["facts"], list):
        raise Unreadable('the reply is no object with exactly "facts", a list')
    if len(document["facts"]) > MOST_FACTS:
        raise Unreadable(f"the reply lists {len(document['facts'])} facts, more than {MOST_FACTS}")
    return [_fact(entry, number) for number, entry in enumerate(document["facts"], 1)]


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key occurs twice")
    return found


def _fact(entry: object, number: int) -> Fact:
    if not isinstance(entry, dict) or set(entry) != set(_LONGEST):
        raise Unreadable(f"fact {number} is no object with exactly subject, relation and value")
    texts = {}
    for key, longest in _LONGEST.items():
        value = entry[key]
        if not isinstance(value, str) or not value.strip() or len(value) > longest:
            raise Unreadable(f"fact {number}: {key} is no text of 1 to {longest} characters")
        texts[key] = " ".join(plain(value).split())
    return Fact(**texts)


def plain(text: str) -> str:
    """One way of writing each character (Unicode NFC), so that what looks the same is the same."""
    return unicodedata.normalize("NFC", text)


def ground(fact: Fact, said: Said) -> Grounded | str:
    """The fact in normal form, or why the user's words do not bear it out."""
    relation = cues.normal(fact.relation)
    if relation is None:
        return f"{fact.relation!r} is no short noun phrase"
    reason = f"{fact.value!r} is in no statement of the user"
    for clause in said.clauses:
        if clause.over or (value := _occurrence(fact.value, plain(clause.text))) is None:
            continue
        text = plain(clause.text)
        asked = said.asked if len(text.split()) <= _ELLIPTIC else ""
        subject = _subject(fact.subject, relation, value, text, said, asked)
        if subject is None:
            reason = f"the sentence with {value!r} is not about {fact.subject!r}"
        elif value.casefold() in (subject.casefold(), subject.removeprefix(KIN_PREFIX).casefold()):
            reason = f"{value!r} is the subject itself"
        elif not (cues.supported(relation, text, value) or (asked and cues.supported(relation, f"{asked} {text}", value))):
            reason = f"the sentence with {value!r} does not speak of {relation!r}"
        else:
            return Grounded(subject, relation, value, clause)
    return reason


def occurs(needle: str, text: str) -> str | None:
    """``needle`` as ``text`` writes it, at word boundaries and whatever its case; None when it is not there."""
    match = _found(needle, text)
    return match.group() if match else None


def _found(needle: str, text: str) -> re.Match[str] | None:
    before = "" if _UNSPACED.match(needle[:1]) else r"(?<![\w])"
    after = "" if _UNSPACED.match(needle[-1:]) else r"(?![\w])"
    return re.search(before + re.escape(needle) + after, text, re.IGNORECASE)


def _occurrence(value: str, text: str) -> str | None:
    """The value where it is not a part of a longer name: "Oslo" is not what "Oslo East" says."""
    match = _found(value, text)
    if match is None:
        return None
    following = re.match(r"[ -](\w+)", text[match.end() :])
    preceding = re.search(r"(\w+)[ -]\Z", text[: match.start()])
    proper = value[:1].isupper()
    if proper and following and is_proper(following[1]) and following[1] != "I":
        return None
    if proper and preceding and preceding.start() > 0 and is_proper(preceding[1]) and preceding[1] != "I":
        return None
    return match.group()


def _subject(given: str, relation: str, value: str, text: str, said: Said, asked: str) -> str | None:
    """The normal form of whom the sentence is about, when that is whom the model named."""
    name = plain(given)
    if name.casefold() in ("user", "the user", "i", "me", "myself"):
        return USER if _about_user(relation, value, text, asked) else None
    if kin := _KIN_SUBJECT.fullmatch(name):
        return _about_kin(kin["kin"].lower(), text, said)
    if name.casefold() in PEOPLE:
        return _about_kin(name.casefold(), text, said)
    return _about_named(name, text, said)


def _about_user(relation: str, value: str, text: str, asked: str) -> bool:
    others = {m["kin"].lower() for m in _MY_KIN.finditer(text)} - {relation} - (PETS if relation == "pet" else set())
    if others or _THEY.match(text):
        return False
    first = text.split()[0] if text else ""
    named = is_proper(first) and not first.endswith(",") and first.lower() not in NOT_SUBJECTS
    if named and not text.casefold().startswith(value.casefold()):
        return False  # it begins with somebody's name
    return bool(_ME.search(text)) or bool(asked and _YOU.search(asked) and not _MY_KIN.search(asked))


def _about_kin(kin: str, text: str, said: Said) -> str | None:
    noun = re.escape(kin)
    if re.match(rf"(?:my )?{noun}\b", text, re.IGNORECASE) or re.search(rf"\bmy {noun}['’]s?\b|\bof my {noun}\b", text, re.IGNORECASE):
        return KIN_PREFIX + kin
    mentioned = {m["kin"].lower() for before in (*said.earlier, *(c.quote for c in said.clauses)) for m in _MY_KIN.finditer(before)}
    return KIN_PREFIX + kin if _THEY.match(text) and mentioned == {kin} else None


def _about_named(name: str, text: str, said: Said) -> str | None:
    tokens = name.split()
    if not 1 <= len(tokens) <= 4 or not all(is_proper(token) and token.lower() not in NOT_SUBJECTS for token in tokens):
        return None
    whole = _occurrence(name, text)
    if whole is None or whole != name:
        return None
    starts = text.startswith(name)
    return name if starts or re.search(rf"{re.escape(name)}['’]|\bof {re.escape(name)}\b", text) else None
