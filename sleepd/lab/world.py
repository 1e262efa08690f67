"""A synthetic world of fictional people, for claims that can be checked without a GPU.

Everything is drawn from a seed. Names come from an endless enumeration of syllables, so any seed
gives people (and so facts) that no other seed gave; no name belongs to a real, known person.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from sleepd.night.wordings import KIN_PREFIX, USER, render

FIRST = (
    "Ada Ben Cara Dov Elin Finn Gita Hugo Ines Jonas Kaia Liam Mara Nils Odile Pavel Quinn Rhea Sven Tara Ugo Vera "
    "Wim Xenia Yara Zeno Alma Bram Chloe Dario Edith Felix Greta Henrik Iris Jules Kenji Lena Milo Nadia Oskar Petra "
    "Ravi Sofia Theo Una Viktor Wanda Yusuf Zoe Anna Boris Clara David Emma Frank Grace Helen Ivan Jane Karl Laura "
    "Mark Nina Otto Paul Rosa Sam Tom Ursula Vince Willa Amir Bela Celia Diego Esme Fadi Gwen Hana Ian Jana Kofi Leo "
    "Maya Noah Olga Priya Raul Sara Tim Uma Vito Wes Ying Zara"
).split()
SYLLABLES = tuple(consonant + vowel for consonant in "bdfghjklmnprstvwyzck"[:18] for vowel in "aeiou")

VALUES: dict[str, tuple[str, ...]] = {
    "city": tuple(
        "Oslo Lyon Turin Porto Gdansk Malmo Graz Bergen Ghent Leeds Tartu Vilnius Seville Basel Bremen Nantes Krakow "
        "Zagreb Utrecht Cork Bilbao Aarhus Trieste Salzburg Paris London Berlin Madrid Rome Vienna Prague Dublin "
        "Lisbon Athens Tokyo Boston Denver Lima Quito Cairo Hamburg Geneva Antwerp Bristol Valencia Split Toledo Riga".split()
    ),
    "job": tuple(
        "baker nurse pilot welder violinist teacher plumber chemist farmer lawyer tailor potter translator carpenter "
        "dentist geologist librarian florist surgeon sailor brewer painter jeweler beekeeper architect engineer "
        "gardener journalist butcher barber mechanic optician miner weaver judge cook fisherman programmer".split()
    ),
    "pet": tuple(
        "Rex Momo Pixel Biscuit Luna Ziggy Pepper Waffle Nimbus Clover Maple Tango Domino Juniper Basil Comet Mochi "
        "Saffron Pebble Otis Kiwi Noodle Ruby Hazel Bingo Fudge Cosmo Olive Pickle Rocket".split()
    ),
    "food": tuple(
        "ramen paella lasagna pierogi falafel goulash risotto tacos sushi dumplings curry fondue gnocchi kimchi borscht "
        "ceviche moussaka pho biryani ratatouille couscous tempura empanadas pancakes pizza soup noodles waffles".split()
    ),
    "color": tuple(
        "teal crimson amber violet olive navy coral indigo maroon turquoise beige magenta lavender scarlet mustard "
        "charcoal ivory emerald cobalt bronze plum rust silver cyan red blue green yellow".split()
    ),
    "instrument": tuple(
        "cello flute banjo trumpet harp oboe piano drums clarinet lute fiddle accordion bassoon tuba mandolin sitar "
        "ukulele organ trombone viola zither bagpipes harmonica marimba violin guitar".split()
    ),
    "hobby": tuple(
        "chess sailing knitting climbing archery pottery juggling fencing rowing astronomy origami baking surfing "
        "gardening skating photography painting hiking cycling calligraphy fishing karate yoga dancing".split()
    ),
}
MONTHS = "January February March April May June July August September October November December".split()
PEOPLE_PER_SEED = 10_000
COMPANY_ENDINGS = ("Works", "Labs", "Foods", "Motors", "Books", "Systems")

STATEMENTS: dict[str, tuple[str, ...]] = {
    "city": (
        "{s} [live|lives] in {v}.",
        "{s} moved to {v}.",
        "{p} home is in {v}.",
        "{s} [have|has] a flat in {v}.",
        "{s} [am|is] living in {v} now.",
    ),
    "job": (
        "{s} [work|works] as a {v}.",
        "{s} [am|is] a {v}.",
        "{p} job is {v}.",
        "{s} [have|has] been a {v} for years.",
        "{s} just started as a {v}.",
    ),
    "pet": (
        "{s} [have|has] a pet called {v}.",
        "{p} pet is called {v}.",
        "{p} pet {v} is adorable.",
        "the name of {p} pet is {v}.",
        "{s} [have|has] a pet named {v}.",
    ),
    "food": (
        "{p} favorite food is {v}.",
        "{s} [love|loves] to eat {v}.",
        "{s} [like|likes] {v} more than any other food.",
        "{s} could eat {v} every day.",
        "{p} favorite dish is {v}.",
    ),
    "color": (
        "{p} favorite color is {v}.",
        "{s} [like|likes] {v} more than any other color.",
        "{s} painted everything {v}, {p} favorite color.",
        "{s} [prefer|prefers] the color {v}.",
    ),
    "instrument": (
        "{s} [play|plays] the {v}.",
        "{s} [am|is] practicing the {v}.",
        "{p} instrument is the {v}.",
        "{s} [am|is] learning to play the {v}.",
    ),
    "hobby": ("{p} hobby is {v}.", "{s} [enjoy|enjoys] {v} on weekends.", "{s} [do|does] {v} for fun.", "{s} took up {v} as a hobby."),
    "company": ("{s} [work|works] at {v}.", "{p} employer is {v}.", "{s} [have|has] a job at {v}.", "{s} [work|works] for {v}."),
    "sister": (
        "{p} sister is called {v}.",
        "{p} sister's name is {v}.",
        "{s} [have|has] a sister called {v}.",
        "the name of {p} sister is {v}.",
    ),
    "birthday": ("{p} birthday is {v}.", "{s} was born on {v}.", "{s} [have|has] a birthday on {v}.", "{p} birthday falls on {v}."),
}
LEADS = (
    "",
    "",
    "",
    "By the way, ",
    "Guess what: ",
    "You should know that ",
    "Did you know? ",
    "Today I learned that ",
    "Please remember that ",
)
ACKNOWLEDGEMENTS = (
    "I will remember that.",
    "Thank you for telling me.",
    "That is good to know.",
    "Noted, thank you.",
    "Good to hear, I will keep it in mind.",
    "Thanks, I did not know that.",
)
KIN = ("brother", "mother", "father", "cousin", "neighbor", "boss", "friend", "aunt", "uncle", "daughter", "son")


@dataclass(frozen=True)
class Fact:
    subject: str
    relation: str
    value: str


def syllables(number: int) -> str:
    """The ``number``-th made-up word of three or more syllables; no two numbers share a word."""
    base = len(SYLLABLES)
    length = 3
    while number >= base**length:
        number -= base**length
        length += 1
    number = number * 48_611 % base**length  # 48,611 is prime to 90, so this is a bijection: neighbours look unalike
    parts = []
    for _ in range(length):
        number, index = divmod(number, base)
        parts.append(SYLLABLES[index])
    return "".join(parts).capitalize()


def people(seed: int, count: int) -> list[str]:
    """``count`` full names that belong to this seed alone."""
    if count > PEOPLE_PER_SEED:
        raise ValueError(f"people: {count} is more than the {PEOPLE_PER_SEED} names of one seed; use a second seed")
    rng = random.Random(f"people-{seed}")
    return [f"{rng.choice(FIRST)} {syllables(seed * PEOPLE_PER_SEED + i)}" for i in range(count)]


def made_up_word(rng: random.Random) -> str:
    three = len(SYLLABLES) ** 3
    return syllables(rng.randrange(three) if rng.random() < 0.7 else three + rng.randrange(len(SYLLABLES) ** 4))


def value(rng: random.Random, relation: str, invented: float = 0.0) -> str:
    """A value for ``relation``; with probability ``invented`` one that no list holds."""
    if relation == "birthday":
        return f"{rng.choice(MONTHS)} {rng.randint(1, 28)}"
    if relation == "company":
        return f"{made_up_word(rng)} {rng.choice(COMPANY_ENDINGS)}"
    if relation == "sister":
        return made_up_word(rng) if rng.random() < invented else rng.choice(FIRST)
    if relation in ("city", "pet") and rng.random() < invented:
        return made_up_word(rng)
    return rng.choice(VALUES[relation])


def facts_about(rng: random.Random, subjects: list[str], per_subject: int = 1, invented: float = 0.3) -> list[Fact]:
    """``per_subject`` facts, each of another relation, for every subject."""
    names = sorted(STATEMENTS)
    return [Fact(s, r, value(rng, r, invented)) for s in subjects for r in rng.sample(names, per_subject)]


def statement(fact: Fact, rng: random.Random, lead: bool = True) -> str:
    """The fact as a user would mention it in passing."""
    opening = rng.choice(LEADS) if lead else ""
    text = render(rng.choice(STATEMENTS[fact.relation]), fact.subject, fact.value)
    if fact.relation == "job" and fact.value[:1].lower() in "aeiou":
        text = text.replace(f" a {fact.value}", f" an {fact.value}")
    keep = not opening or opening.endswith("? ") or text.startswith(("I ", fact.subject))
    return opening + (text if keep else text[:1].lower() + text[1:])


def own_fact(rng: random.Random) -> Fact:
    """A fact about the user or a relative of the user."""
    subject = USER if rng.random() < 0.5 else KIN_PREFIX + rng.choice(KIN)
    relation = rng.choice([r for r in STATEMENTS if subject == USER or r != "sister"])
    return Fact(subject, relation, value(rng, relation, 0.5))
