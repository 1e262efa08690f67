"""The forms in which people state facts about themselves, their kin and others, compiled once for all three.

A form is written once: ``{s}`` subject, ``{p}`` possessive, ``{x}`` a noun that names the relation, ``{v}`` the
value, ``[live|lives]`` first or third person; the rest is a regular expression. Whole clauses only.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Literal

from sleepd.experience import values
from sleepd.experience.values import Check
from sleepd.experience.wordlists import ADJECTIVES, ATTRIBUTES, COUNTRIES, NO_VALUE, NOT_SUBJECTS, PASSING, PEOPLE, PETS

Who = Literal["user", "kin", "named"]
USER = "user"

_AN = r"(?:an? |the |one )"
_JUST = r"(?:just |recently |finally |now |currently |also |still |actually |really )*"
_FAVOURITE = r"(?:(?:all-time |absolute )?favou?rite)"

# relation ("" = the noun {x}), check of the value, form
_FORMS: tuple[tuple[str, Check, str], ...] = (
    ("name", values.name, r"my (?:full |first |real |given )?name is {v}"),
    ("name", values.name, r"(?:you can |everyone |everybody |people |my friends |please )?call[s]? me {v}"),
    ("name", values.name, r"I [am|is] (?:called|named) {v}"),
    ("name", values.person, r"I am {v}"),
    ("birthday", values.date, r"{p} (?:birthday|date of birth) (?:is|falls on)(?: always)?(?: on)? {v}"),
    ("birthday", values.date, r"{s} w(?:as|ere) born(?: on)? {v}"),
    ("birthday", values.date, r"{s} [have|has] (?:a |my |his |her |their )?birthday on {v}"),
    ("birthday", values.date, r"{s} [celebrate|celebrates] (?:my |his |her |their )birthday on {v}"),
    ("year of birth", values.year, r"{s} w(?:as|ere) born in {v}"),
    ("birthplace", values.place, r"{s} w(?:as|ere) born(?: and raised)? in {v}"),
    ("birthplace", values.place, r"{p} (?:birthplace|place of birth) is {v}"),
    ("city", values.place, rf"{{s}} {_JUST}[live|lives] {_JUST}in {{v}}"),
    ("city", values.place, rf"{{s}} {_JUST}(?:[have|has] )?{_JUST}moved (?:back |over |here )?to {{v}}"),
    ("city", values.place, rf"{{s}} [am|is] {_JUST}(?:living|residing|based|settled) in {{v}}"),
    ("city", values.place, r"{s} [reside|resides] in {v}"),
    ("city", values.place, r"{p} (?:home|home ?town|home city|city|town|place of residence) is (?:in )?{v}"),
    ("city", values.place, rf"{{s}} [have|has] {_AN}(?:\w+ ){{0,2}}(?:flat|apartment|house|home|place|studio) in {{v}}"),
    ("origin", values.place, r"{s} (?:originally )?(?:[am|is] (?:originally )?|[come|comes] (?:originally )?)from {v}"),
    ("job", values.job, rf"{{s}} {_JUST}[work|works] {_JUST}as (?:an? |the )?{{v}}"),
    ("job", values.job, rf"{{s}} [am|is] {_JUST}working as (?:an? |the )?{{v}}"),
    ("job", values.is_job, r"{p} (?:\w+ )?(?:job|profession|occupation|trade) is (?:being )?(?:that of )?(?:an? )?{v}"),
    ("job", values.job, rf"{{s}} {_JUST}(?:started|began)(?: working| a job)? as (?:an? |the )?{{v}}"),
    ("job", values.is_job, r"{s} [have|has] been (?:an? |the ){v}"),
    ("job", values.is_job, rf"{{s}} {_JUST}(?:became|[am|is] {_JUST}training to be(?:come)?) (?:an? |the ){{v}}"),
    ("job", values.is_job, rf"{{s}} [am|is] {_JUST}(?:an? |the ){{v}}"),
    ("job", values.job, r"{s} [earn|earns] (?:my |his |her |their )(?:money|living) as (?:an? |the )?{v}"),
    ("company", values.organisation, rf"{{s}} {_JUST}[work|works] {_JUST}(?:at|for) {{v}}"),
    ("company", values.organisation, rf"{{s}} [am|is] {_JUST}working (?:at|for) {{v}}"),
    ("company", values.organisation, r"{p} (?:employer|company|firm) is (?:called |named )?{v}"),
    ("company", values.organisation, rf"{{s}} [have|has] {_AN}(?:\w+ ){{0,2}}job (?:at|with) {{v}}"),
    ("company", values.organisation, rf"{{s}} {_JUST}(?:joined|started (?:working )?at|started working for) {{v}}"),
    ("founded company", values.organisation, rf"{{s}} {_JUST}(?:co-?)?founded {{v}}"),
    ("school", values.organisation, r"{s} (?:[have|has] )?graduated from {v}"),
    ("school", values.organisation, rf"{{s}} (?:studied|[study|studies]|[am|is] {_JUST}studying)(?: [a-z]+){{0,2}} at {{v}}"),
    ("award", values.award, r"{s} (?:[have|has] )?(?:won|received|was awarded) {v}"),
    ("age", values.age, r"{s} [am|is] {v} (?:years?|yrs?) old"),
    ("age", values.age, r"{p} age is {v}"),
    ("spouse", values.name, rf"{{s}} (?:[am|is] {_JUST}married to|{_JUST}married) {{v}}"),
    ("food", values.thing, rf"{{p}} {_FAVOURITE} (?:food|dish|meal) is {{v}}"),
    ("food", values.thing, rf"{{s}} {_JUST}[love|loves] to eat {{v}}"),
    ("food", values.thing, r"{s} [like|likes|love|loves] {v} more than any other (?:food|dish|meal)"),
    ("food", values.thing, r"{s} could eat {v} (?:every|all) (?:single )?day"),
    ("color", values.thing, rf"{{p}} {_FAVOURITE} colou?r is {{v}}"),
    ("color", values.thing, r"{s} [like|likes] {v} more than any other colou?r"),
    ("color", values.thing, rf"{{s}} {_JUST}painted everything {{v}}, .{{2,60}} {_FAVOURITE} colou?r"),
    ("color", values.thing, r"{s} [prefer|prefers] the colou?r {v}"),
    ("instrument", values.instrument, rf"{{p}} (?:{_FAVOURITE} )?(?:musical )?instrument is (?:the )?{{v}}"),
    ("instrument", values.instrument, rf"{{s}} {_JUST}(?:can )?{_JUST}[play|plays|play] the {{v}}"),
    ("instrument", values.instrument, rf"{{s}} [am|is] {_JUST}practi[cs]ing the {{v}}"),
    ("instrument", values.instrument, rf"{{s}} [am|is] {_JUST}learning (?:how )?(?:to play )?the {{v}}"),
    ("instrument", values.known_instrument, rf"{{s}} {_JUST}(?:can )?[play|plays|play] {{v}}"),
    ("hobby", values.thing, r"{p} (?:\w+ )?hobby is {v}"),
    ("hobby", values.thing, r"{s} [enjoy|enjoys] {v} (?:on|at|during|over) (?:the )?weekends?"),
    ("hobby", values.thing, r"{s} [do|does] {v} (?:for fun|as a hobby|in (?:my|his|her|their) (?:free|spare) time)"),
    ("hobby", values.thing, rf"{{s}} {_JUST}(?:[have|has] )?(?:took|taken) up {{v}}(?: as an? (?:new )?hobby)?"),
    ("allergy", values.thing, r"{s} [am|is] (?:\w+ )?allergic to {v}"),
    ("language", values.languages, r"{s} [speak|speaks] {v}"),
    ("car", values.vehicle, r"{s} [drive|drives] {v}"),
    ("", values.name, r"the (?:full |first )?name of {p} {x} is {v}"),
    ("", values.name, r"{p} {x}(?:'s|’s|'|’) (?:full |first )?name is {v}"),
    ("", values.name, r"{p} {x} is (?:called|named) {v}"),
    ("", values.name, rf"{{s}} [have|has] {_AN}{{x}}(?:,| who is| that is| which is)? (?:called|named|whose name is|by the name of) {{v}}"),
    ("", values.names, r"(?:{s}|we) [have|has|have] (?:two|three|four|five|\d) {x}(?:,| called| named|:)(?: called| named)? {v}"),
    ("", values.purpose, r"{p} {x:purpose} is {v}"),
    ("", values.favourite, r"{p} {x:favourite} (?:is|are) {v}"),
    ("", values.attribute, r"{p} {x:attribute} is {v}"),
    ("", values.plain, r"{p} {x} is {v}"),
)
_NAME_TOKEN = r"[^\W\d_a-z][^\W\d_]*(?:[-'’][^\W\d_]{2,})*"  # no name begins with a small letter
_KIN_NAMES = {
    "mom": "mom",
    "mum": "mum",
    "dad": "dad",
    "mommy": "mom",
    "daddy": "dad",
    "grandma": "grandma",
    "grandpa": "grandpa",
    "granny": "granny",
}
_OPENERS = ("the", "we", "call", "you", "everyone", "everybody", "people", "please")
_KIN_NOUN = "(?:" + "|".join(sorted(PEOPLE | PETS, key=len, reverse=True)) + ")"
_KIN = rf"(?:[Mm]y (?P<kin>(?:[a-z]+[- ]){{0,2}}{_KIN_NOUN})(?: {_NAME_TOKEN})?|(?P<called>Mom|Mum|Dad|Mommy|Daddy|Grandma|Grandpa|Granny))"
_NAMED = rf"(?P<named>(?:(?:Dr|Mr|Mrs|Ms|Prof)\.? )?{_NAME_TOKEN}(?: {_NAME_TOKEN}){{0,3}})"
_GENITIVE = r"(?:'s|’s|(?<=s)'|(?<=s)’)"
_SUBJECT = {"user": r"I", "kin": _KIN, "named": _NAMED}
_POSSESSIVE = {"user": r"[Mm]y", "kin": _KIN + _GENITIVE, "named": _NAMED + _GENITIVE}
_NOUN = r"(?P<x>[a-z]+(?:[- ][a-z]+){0,2})"
_NOUNS = {
    "{x:purpose}": r"(?P<x>(?:[a-z]+ ){0,2}(?:goal|dream|mission|ambition|resolution))",
    "{x:favourite}": r"(?P<x>(?:all-time |absolute )?favou?rite(?: [a-z]+){1,3})",
    "{x:attribute}": _NOUN,
    "{x}": _NOUN,
}
_NO_NOUN = (NO_VALUE - {"best", "good", "great"}) | {"name", "only", "own", "whole", "entire"}
_SAME = {  # what the named relations are also called
    "hometown": "city", "home town": "city", "town": "city", "profession": "job", "occupation": "job", "employer": "company",
    "favorite food": "food", "favorite dish": "food", "favorite meal": "food", "favorite color": "color", "favorite hobby": "hobby",
    "favorite instrument": "instrument", "residence": "city", "home": "city", "location": "city", "place of residence": "city",
    "workplace": "company", "firm": "company", "date of birth": "birthday", "birthdate": "birthday", "musical instrument": "instrument",
}  # fmt: skip


def relation_name(noun: str) -> str:
    """The one name of a relation that people call by several nouns ("profession": job)."""
    plain = noun.replace("favourite", "favorite").replace("colour", "color")
    return _SAME.get(plain, plain)


@dataclass(frozen=True)
class Form:
    """One form for one kind of subject. ``relation`` is empty when the noun {x} names it."""

    who: Who
    relation: str
    check: Check
    pattern: re.Pattern[str]
    noun: Callable[[str], str | None] | None


@dataclass(frozen=True)
class Match:
    subject: str
    relation: str
    value: str


@cache
def forms(whos: tuple[Who, ...]) -> tuple[Form, ...]:
    """The forms for these kinds of subject, compiled on first use."""
    found = []
    for relation, check, text in _FORMS:
        kinds: tuple[Who, ...] = ("user", "kin", "named") if "{s}" in text or "{p}" in text else ("user",)
        noun = None if relation else _noun_check(text)
        found += [Form(who, relation, check, _compiled(text, who), noun) for who in kinds if who in whos]
    return tuple(found)


def _speaker(text: str) -> tuple[Who, ...]:
    """The kinds of subject that a clause can be about, told by its first word."""
    first = text.split(maxsplit=1)[0].lower() if text else ""
    if first == "i":
        return ("user",)
    if first == "my":
        return ("user", "kin")
    return ("user", "kin", "named") if first in _OPENERS else ("kin", "named")


def read(clause: str) -> list[Match]:
    """The fact that a clause states: at most one by form, and the kin or pet that it names in passing."""
    text = _expanded(clause)
    found = next((match for form in forms(_speaker(text)) if (match := _apply(form, text))), None)
    told = [found] if found else []
    return told + [match for match in _in_passing(text) if match not in told]


_SMALL = re.compile(r"\b(?:in|to|is|called|named) (?P<v>[^\W\d_]{3,}(?: [^\W\d_]{3,})?)$")
_NO_SMALL_NAME = (
    NO_VALUE
    | NOT_SUBJECTS
    | set(
        "fear peace hope poverty town pain love bed tears death silence luxury sin trouble debt hell heaven space general "
        "irrelevant unimportant whatever mine yours theirs confidential simple cool names".split()
    )
)


def read_small(clause: str) -> list[Match]:
    """The same for people who write without capitals: what ends the clause may be a name all the same."""
    if told := read(clause):
        return told
    match = _SMALL.search(clause)
    if match is None or any(word in _NO_SMALL_NAME for word in match["v"].split()):
        return []
    named = clause[: match.start("v")] + match["v"].title()
    return [
        Match(found.subject, found.relation, found.value.lower())
        for found in read(named)
        if found.relation in ("city", "country", "name") or " called " in clause or " named " in clause or " name is " in clause
    ]


def _compiled(text: str, who: Who) -> re.Pattern[str]:
    def person(match: re.Match[str]) -> str:
        choices = match[1].split("|")
        return choices[0] if who == "user" else "(?:" + "|".join(choices[1:]) + ")"

    text = re.sub(r"\[((?:[a-z]+\|)+[a-z]+)\]", person, text)
    for mark, noun in _NOUNS.items():
        text = text.replace(mark, noun)
    text = text.replace("{s}", _SUBJECT[who]).replace("{p}", _POSSESSIVE[who]).replace("{v}", r"(?P<v>\S.*?)", 1)
    if text.startswith(("my ", "the ", "I ")):
        text = f"(?i:{text[0]}){text[1:]}"
    return re.compile(text)


def _apply(form: Form, text: str) -> Match | None:
    match = form.pattern.fullmatch(text)
    if match is None:
        return None
    groups = match.groupdict()
    subject, relation = _subject(groups), form.relation
    if subject is None:
        return None
    if form.noun is not None:
        named = form.noun(groups["x"])
        if named is None:
            return None
        relation = relation_name(named)
    value = form.check(groups["v"])
    if value is None:
        return None
    return Match(subject, "country" if relation == "city" and value.removeprefix("the ") in COUNTRIES else relation, value)


def _subject(groups: dict[str, str | None]) -> str | None:
    if kin := groups.get("kin"):
        return f"{USER}'s {kin}" if _sound(kin) else None
    if called := groups.get("called"):
        return f"{USER}'s {_KIN_NAMES[called.lower()]}"
    if named := groups.get("named"):
        tokens = [t for t in named.split() if t not in ("Dr", "Mr", "Mrs", "Ms", "Prof", "Dr.", "Mr.", "Mrs.", "Ms.", "Prof.")]
        proper = all(values.is_proper(t) and t.lower() not in NOT_SUBJECTS for t in tokens)
        return named if tokens and proper and any(t[:1].isupper() for t in tokens) else None
    return USER


def _noun_check(text: str) -> Callable[[str], str | None]:
    if "{x:attribute}" in text:
        return lambda noun: noun if noun.split()[-1] in ATTRIBUTES and _sound(noun) else None
    if "{x:favourite}" in text:
        return lambda noun: re.sub(r"^(?:all-time |absolute )", "", noun).replace("favourite", "favorite").replace("colour", "color")
    if "{x:purpose}" in text:
        return lambda noun: noun
    if "by the name of" in text or "|we)" in text:
        return _without_adjectives
    return lambda noun: noun if _sound(noun) else None


def _sound(noun: str) -> bool:
    return not any(word in _NO_NOUN for word in noun.split()) and noun.split()[-1] not in PASSING


def _without_adjectives(noun: str) -> str | None:
    tokens = noun.split()
    while len(tokens) > 1 and tokens[0] in ADJECTIVES:
        tokens = tokens[1:]
    return " ".join(tokens) if _sound(" ".join(tokens)) else None


_MINE = re.compile(rf"\b[Mm]y (?P<x>(?:[a-z]+ )?{_KIN_NOUN}),? (?P<v>{_NAME_TOKEN})(?= |,|$)(?! [A-Z])")
_THEIRS = re.compile(
    rf"^(?:[Mm]y (?P<kin>(?:[a-z]+ )?{_KIN_NOUN})|{_NAMED}){_GENITIVE} (?P<x>(?:[a-z]+ )?{_KIN_NOUN}) (?P<v>{_NAME_TOKEN}) "
    r"(?:is|was|has|loves|likes|wants|can|lives|works|moved)\b"
)


def _in_passing(text: str) -> list[Match]:
    """ "my husband Pierre", "my pet Rex is adorable": a name beside the noun."""
    found = []
    for pattern in (_MINE, _THEIRS):
        for match in pattern.finditer(text):
            groups = match.groupdict()
            subject, value = _subject(groups), values.person(match["v"])
            if subject and value and subject != value and _sound(match["x"]):
                found.append(Match(subject, match["x"], value))
    return found


def _expanded(clause: str) -> str:
    """Contractions of the first person written out; the rest stays letter by letter."""
    text = re.sub(r"^[Ii]['’]?m\b", "I am", clause)
    text = re.sub(r"^[Ii]['’]ve\b", "I have", text)
    return re.sub(r"^i\b", "I", text)
