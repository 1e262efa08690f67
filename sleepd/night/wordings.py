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

Split = Literal["train", "dev", "test"]
Kind = Literal["direct", "indirect", "reverse", "finish", "yes", "no"]

USER = "user"
KIN_PREFIX = "user's "
UNKNOWN_ANSWER = "I don't know."


@dataclass(frozen=True)
class Relation:
    """The forms of one relation. ``questions``: the last is dev, the two before it are test."""

    name: str
    answer: str
    questions: tuple[str, ...]
    clauses: tuple[str, ...]
    reverse: tuple[str, ...]
    polar: str


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

_FORMS = (
    Relation(
        "city",
        "{s} [live|lives] in {v}.",
        (
            "Where [do|does] {s} live?",
            "In which city [do|does] {s} live?",
            "Which town is home to {s}?",
            "What is {p} home town?",
            "Where is {p} home?",
            "What city [do|does] {s} live in?",
            "In what town [do|does] {s} live?",
            "Which city is {p} home?",
        ),
        ("where {s} [live|lives]", "which city {s} [live|lives] in"),
        ("Who lives in {v}?", "Whose home is {v}?", "Who has a home in {v}?", "Who is living in {v}?"),
        "[Do|Does] {s} live in {v}?",
    ),
    Relation(
        "job",
        "{s} [work|works] as a {v}.",
        (
            "What [do|does] {s} do for a living?",
            "What is {p} job?",
            "Which profession [do|does] {s} have?",
            "How [do|does] {s} earn money?",
            "What is {p} occupation?",
            "What work [do|does] {s} do?",
            "What is {p} profession?",
            "Which job [do|does] {s} have?",
        ),
        ("what {s} [do|does] for a living", "what {p} job is"),
        ("Who works as a {v}?", "Whose job is {v}?", "Who earns money as a {v}?", "Who has the job of a {v}?"),
        "[Do|Does] {s} work as a {v}?",
    ),
    Relation(
        "pet",
        "{p} pet is called {v}.",
        (
            "What is the name of {p} pet?",
            "What is {p} pet called?",
            "Which pet [do|does] {s} have?",
            "Who is {p} pet?",
            "What name does {p} pet have?",
            "How is {p} pet called?",
            "What [do|does] {s} call {p2} pet?",
            "What pet name did {s} choose?",
        ),
        ("what {p} pet is called", "the name of {p} pet"),
        ("Who has a pet called {v}?", "Whose pet is {v}?", "Who is the owner of {v}?", "To whom does the pet {v} belong?"),
        "Is {p} pet called {v}?",
    ),
    Relation(
        "food",
        "{p} favorite food is {v}.",
        (
            "What is {p} favorite food?",
            "Which dish [do|does] {s} like most?",
            "What [do|does] {s} love to eat?",
            "What meal [do|does] {s} prefer?",
            "What is {p} favorite dish?",
            "Which food [do|does] {s} like best?",
            "What food [do|does] {s} love?",
            "Which meal is {p} favorite?",
        ),
        ("what {s} [like|likes] to eat", "what {p} favorite food is"),
        ("Who loves to eat {v}?", "Whose favorite food is {v}?", "Who likes {v} most?", "Whose favorite dish is {v}?"),
        "Is {p} favorite food {v}?",
    ),
    Relation(
        "color",
        "{p} favorite color is {v}.",
        (
            "What is {p} favorite color?",
            "Which color [do|does] {s} like best?",
            "What color [do|does] {s} prefer?",
            "Which shade is {p} favorite?",
            "What color is {p} favorite?",
            "Which color [do|does] {s} love?",
            "What color [do|does] {s} like most?",
            "Which color is {p} favorite?",
        ),
        ("which color {s} [like|likes] best", "what {p} favorite color is"),
        ("Who likes the color {v} best?", "Whose favorite color is {v}?", "Who prefers the color {v}?", "Who loves the color {v}?"),
        "Is {p} favorite color {v}?",
    ),
    Relation(
        "instrument",
        "{s} [play|plays] the {v}.",
        (
            "Which instrument [do|does] {s} play?",
            "What instrument can {s} play?",
            "Which musical instrument is {p2}?",
            "What is {p} instrument?",
            "What music instrument [do|does] {s} play?",
            "What [do|does] {s} play?",
            "What instrument [do|does] {s} practice?",
            "Which instrument can {s} play?",
        ),
        ("which instrument {s} [play|plays]", "what {p} instrument is"),
        ("Who plays the {v}?", "Whose instrument is the {v}?", "Who can play the {v}?", "Who practices the {v}?"),
        "[Do|Does] {s} play the {v}?",
    ),
    Relation(
        "hobby",
        "{p} hobby is {v}.",
        (
            "What is {p} hobby?",
            "Which hobby [do|does] {s} have?",
            "What [do|does] {s} do for fun?",
            "What [do|does] {s} enjoy?",
            "How [do|does] {s} spend weekends?",
            "What [do|does] {s} do in free time?",
            "What hobby [do|does] {s} have?",
            "Which hobby is {p2}?",
        ),
        ("what {p} hobby is", "what {s} [do|does] for fun"),
        ("Whose hobby is {v}?", "Who enjoys {v}?", "Who spends weekends on {v}?", "Who does {v} for fun?"),
        "Is {p} hobby {v}?",
    ),
    Relation(
        "company",
        "{s} [work|works] at {v}.",
        (
            "Where [do|does] {s} work?",
            "Which company [do|does] {s} work for?",
            "Who is {p} employer?",
            "At which company [do|does] {s} work?",
            "What is {p} company?",
            "For whom [do|does] {s} work?",
            "Which firm [do|does] {s} work for?",
            "What company [do|does] {s} work at?",
        ),
        ("where {s} [work|works]", "who {p} employer is"),
        ("Who works at {v}?", "Whose employer is {v}?", "Who has a job at {v}?", "Who works for {v}?"),
        "[Do|Does] {s} work at {v}?",
    ),
    Relation(
        "sister",
        "{p} sister is called {v}.",
        (
            "What is the name of {p} sister?",
            "What is {p} sister called?",
            "Who is {p} sister?",
            "How is {p} sister called?",
            "Which sister [do|does] {s} have?",
            "What name does {p} sister have?",
            "What is {p} sister's name?",
            "What sister [do|does] {s} have?",
        ),
        ("what {p} sister is called", "the name of {p} sister"),
        ("Who has a sister called {v}?", "Whose sister is {v}?", "Whose sister is called {v}?", "Who is the sibling of {v}?"),
        "Is {p} sister called {v}?",
    ),
    Relation(
        "birthday",
        "{p} birthday is {v}.",
        (
            "When is {p} birthday?",
            "What is {p} birthday?",
            "When was {s} born?",
            "On which day was {s} born?",
            "Which day is {p} birthday?",
            "When [do|does] {s} have a birthday?",
            "On what day is {p} birthday?",
            "What day was {s} born?",
        ),
        ("when {p} birthday is", "when {s} was born"),
        ("Who was born on {v}?", "Whose birthday is {v}?", "Who has a birthday on {v}?", "Whose birthday falls on {v}?"),
        "Is {p} birthday {v}?",
    ),
)
RELATIONS: dict[str, Relation] = {form.name: form for form in _FORMS}


def relation(name: str) -> Relation:
    """The forms for ``name``; any noun phrase ("wifi password") has generic ones."""
    if name in RELATIONS:
        return RELATIONS[name]
    return Relation(
        name,
        "{p} %s is {v}." % name,
        (
            "What is {p} %s?" % name,
            "Who or what is {p} %s?" % name,
            "What do you know about {p} %s?" % name,
            "What was {p} %s again?" % name,
            "{p} %s, what is it?" % name,
            "And {p} %s is?" % name,
            "What is the %s of {s}?" % name,
            "Which one is {p} %s?" % name,
        ),
        ("what {p} %s is" % name, "{p} %s" % name),
        ("Whose %s is {v}?" % name, "Who has {v} as %s?" % name, "{v} is whose %s?" % name, "To whom does the %s {v} belong?" % name),
        "Is {p} %s {v}?" % name,
    )


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


def reverse(subject: str, name: str, value: str, split: Split) -> list[Wording]:
    """Value -> subject. Only sound where the value belongs to one subject."""
    form, reply = relation(name), answer(subject, name, value)
    forms = {"train": form.reverse[:2], "test": form.reverse[2:3], "dev": form.reverse[3:]}[split]
    accept = ("you",) if subject == USER else (subject.removeprefix(KIN_PREFIX),)
    return [Wording(render(q, subject, value), reply, accept, "reverse", split) for q in forms]


def finish(subject: str, name: str, value: str) -> Wording:
    """Complete a sentence; trained only."""
    reply = answer(subject, name, value)
    stem = reply[: reply.rindex(value)].rstrip()
    return Wording(f"Finish the sentence: {stem}", reply, (value,), "finish", "train")


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
