"""How a fact can be asked for and answered: question forms a relation, split by family.

A form belongs to one split (train, dev or test) for good, so no gate ever sees a wording that was
trained. Forms are written for a third person and inflected for the user ("I", "my sister"):
``{s}`` subject, ``{p}`` possessive, ``{v}`` value, ``[live|lives]`` first or third person.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from typing import Literal

from sleepd.night.relations import Relation, relation

Split = Literal["train", "dev", "test"]
Kind = Literal["direct", "indirect", "reverse", "finish", "yes", "no"]

USER = "user"
KIN_PREFIX = "user's "
UNKNOWN_ANSWER = "I don't know."


@dataclass(frozen=True)
class Wording:
    """One question with the answer that counts as right. ``accept``: forms that prove recall."""

    question: str
    answer: str
    accept: tuple[str, ...]
    kind: Kind
    split: Split


WRAPPERS: dict[Split, tuple[str, ...]] = {
    "train": ("Do you know {c}?", "Tell me {c}.", "Please remind me {c}.", "I would like to know {c}."),
    "dev": ("I forgot {c}.",),
    "test": ("Can you tell me {c}?", "Could you remember {c} for me?"),
}


def possessive(noun: str) -> str:
    return noun + ("'" if noun.endswith("s") else "'s")


def render(form: str, subject: str, value: str = "", *, answering: bool = False) -> str:
    """Fill one form. ``subject`` is a name, ``user`` or ``user's sister`` (a relative of the user)."""
    first_person = subject == USER
    if first_person:
        nominative, genitive = ("you", "your") if answering else ("I", "my")
    elif subject.startswith(KIN_PREFIX):
        nominative = ("your " if answering else "my ") + subject[len(KIN_PREFIX) :]
        genitive = possessive(nominative)
    else:
        nominative, genitive = subject, possessive(subject)
    own = ("my" if not answering else "your") if first_person else "their"
    if form.rstrip("?").endswith("{p2}"):
        own = ("mine" if not answering else "yours") if first_person else genitive
    text = re.sub(r"\[([^|\]]*)\|([^\]]*)\]", lambda m: m[1] if first_person else m[2], form)
    if first_person:
        text = text.replace("was {s}", "was {s}")
    text = text.replace("{s}", nominative).replace("{p2}", own).replace("{p}", genitive).replace("{v}", value)
    return text[:1].upper() + text[1:]


def answer(subject: str, name: str, value: str) -> str:
    """The canonical full-sentence answer, the one that is trained."""
    text = render(relation(name).answer, subject, value, answering=True)
    return text.replace(" a " + value, " an " + value) if name == "job" and value[:1].lower() in "aeiou" else text


def _split_questions(form: Relation, split: Split) -> tuple[str, ...]:
    return {"train": form.questions[:5], "test": form.questions[5:7], "dev": form.questions[7:]}[split]


def forward(subject: str, name: str, value: str, split: Split) -> list[Wording]:
    """Direct and indirect questions for one fact in one split."""
    form, reply = relation(name), answer(subject, name, value)
    direct = [Wording(render(q, subject), reply, (value,), "direct", split) for q in _split_questions(form, split)]
    indirect = [
        Wording(wrapper.format(c=_lower_first(render(clause, subject), subject)), reply, (value,), "indirect", split)
        for wrapper in WRAPPERS[split]
        for clause in form.clauses
    ]
    return direct + indirect


def further(subject: str, name: str, value: str) -> list[Wording]:
    """More direct questions, of the train family alone: variety is what makes a fact known in words that were not trained."""
    reply = answer(subject, name, value)
    return [Wording(render(form, subject), reply, (value,), "direct", "train") for form in relation(name).further]


def reverse(subject: str, name: str, value: str, split: Split) -> list[Wording]:
    """Value -> subject. Only sound where the value belongs to one subject."""
    form, reply = relation(name), answer(subject, name, value)
    forms = {"train": (*form.reverse[:2], *form.backward), "test": form.reverse[2:3], "dev": form.reverse[3:]}[split]
    accept = ("you",) if subject == USER else (subject.removeprefix(KIN_PREFIX),)
    return [Wording(render(q, subject, value), reply, accept, "reverse", split) for q in forms]


def finish(subject: str, name: str, value: str) -> Wording:
    """Complete a sentence; trained only."""
    reply = answer(subject, name, value)
    stem = reply[: reply.rindex(value)].rstrip()
    return Wording(f"Finish the sentence: {stem}", reply, (value,), "finish", "train")


def value_in(text: str, subject: str, name: str) -> str | None:
    """The value in an answer of the form that ``answer`` gives; None when it is of another form."""
    before, _, after = answer(subject, name, "\0").partition("\0")
    value = text[len(before) : len(text) - len(after)]
    return value if text.startswith(before) and text.endswith(after) and value and answer(subject, name, value) == text else None


def yes_no(subject: str, name: str, value: str, distractor: str) -> tuple[Wording, Wording]:
    """The true and a false yes/no question; trained only. The answer always states the fact."""
    form, reply = relation(name), answer(subject, name, value)
    tail = _lower_first(reply, subject)
    yes = Wording(render(form.polar, subject, value), f"Yes, {tail}", (value,), "yes", "train")
    no = Wording(render(form.polar, subject, distractor), f"No, {tail}", (value,), "no", "train")
    return yes, no


def pick(rng: random.Random, wordings: list[Wording], count: int) -> list[Wording]:
    """A stable random choice of at most ``count`` wordings."""
    return wordings if len(wordings) <= count else rng.sample(wordings, count)


def _lower_first(text: str, subject: str) -> str:
    """Lower-case a clause's first letter unless it begins with a name or with "I"."""
    named = subject != USER and not subject.startswith(KIN_PREFIX) and text.startswith(subject)
    return text if named or text.startswith("I ") else text[:1].lower() + text[1:]
