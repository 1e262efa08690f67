"""The ten relations that have question forms of their own, and the forms that any other relation gets.

Forms are written for a third person and inflected for the user by ``wordings.render``.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Relation:
    """The forms of one relation. ``questions``: the last is dev, the two before it are test.

    ``further`` questions, and ``backward`` ones from value to subject, are train only.
    """

    name: str
    answer: str
    questions: tuple[str, ...]
    clauses: tuple[str, ...]
    reverse: tuple[str, ...]
    polar: str
    further: tuple[str, ...]
    backward: tuple[str, ...]


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
        (
            "What place [do|does] {s} call home?",
            "Where is {p} house?",
            "Where [do|does] {s} stay these days?",
            "In what place [do|does] {s} have a home?",
        ),
        ("Which person lives in {v}?", "Who calls {v} home?", "Who is at home in {v}?"),
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
        (
            "As what [do|does] {s} work?",
            "What is {p} line of work?",
            "What trade [do|does] {s} follow?",
            "What is {p} work?",
        ),
        ("Which person works as a {v}?", "Who is a {v} by trade?", "Who makes a living as a {v}?"),
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
        (
            "By what name does {p} pet go?",
            "What name was given to {p} pet?",
            "Which name belongs to {p} pet?",
            "What [do|does] {s} shout to call {p2} pet home?",
        ),
        ("Which person has the pet {v}?", "Who calls a pet {v}?", "Who takes care of {v}?"),
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
        (
            "What would {s} order for dinner?",
            "What [do|does] {s} enjoy eating most?",
            "Which food is {p} favorite?",
            "What [do|does] {s} cook on a good day?",
        ),
        ("Which person loves {v}?", "Who would order {v}?", "Who enjoys {v} more than other dishes?"),
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
        (
            "Which color would {s} choose?",
            "What is the color that {s} [like|likes]?",
            "In which color would {s} paint a room?",
            "Which color [do|does] {s} wear most?",
        ),
        ("Whose color is {v}?", "Which person likes {v}?", "Who would choose the color {v}?"),
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
        (
            "On which instrument [do|does] {s} make music?",
            "Which instrument did {s} learn?",
            "What instrument [do|does] {s} own?",
            "With which instrument [do|does] {s} make music?",
        ),
        ("Which person plays the {v}?", "Who makes music on the {v}?", "Who learned the {v}?"),
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
        (
            "What is {p} pastime?",
            "What [do|does] {s} like to do after work?",
            "What [do|does] {s} love doing?",
            "What [do|does] {s} do on free days?",
        ),
        ("Which person enjoys {v}?", "Whose pastime is {v}?", "Who likes {v} as a hobby?"),
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
        ("What is the name of {p} firm?", "Where is {p} office?", "In which company is {p} job?", "Who pays {p} wages?"),
        ("Which person works at {v}?", "Who is employed by {v}?", "Who earns wages at {v}?"),
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
        (
            "By what name does {p} sister go?",
            "What name was given to {p} sister?",
            "Which name belongs to {p} sister?",
            "What did the parents call {p} sister?",
        ),
        ("Which person has the sister {v}?", "Who calls {v} a sister?", "To whom is {v} a sister?"),
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
        (
            "What date is {p} birthday?",
            "On which date [do|does] {s} celebrate?",
            "Which date is {p} day of birth?",
            "When [do|does] {s} turn a year older?",
        ),
        ("Which person was born on {v}?", "Who turns a year older on {v}?", "Who celebrates on {v}?"),
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
        ("What is {p} %s called?" % name, "Which %s is {p2}?" % name, "Please name {p} %s." % name, "What would you say is {p} %s?" % name),
        ("Which person has {v} as %s?" % name, "Who calls {v} a %s?" % name, "Who has the %s {v}?" % name),
    )
