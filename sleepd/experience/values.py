"""What may stand as the value of a fact: a place, a name, a job, a date and so on. Each check cleans or refuses."""

from __future__ import annotations

import re
from collections.abc import Callable

from sleepd.experience.wordlists import (
    ADJECTIVES,
    AFTER_NAME,
    CONNECTORS,
    INSTRUMENTS,
    JOBS,
    NATIONALITY_ENDINGS,
    NO_VALUE,
    NOT_JOBS,
    NOT_NAMES,
    NOT_PLAYED,
)

Check = Callable[[str], str | None]

_MONTH = (
    r"(?:Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|Sep(?:t(?:ember)?)?|Oct(?:ober)?|"
    r"Nov(?:ember)?|Dec(?:ember)?)\.?"
)
_DAY = r"(?:the )?\d{1,2}(?:st|nd|rd|th)?"
_DATE = re.compile(
    rf"(?:{_MONTH} {_DAY}|{_DAY}(?: of)? {_MONTH})(?:,? \d{{4}})?|{_MONTH} \d{{4}}|\d{{4}}-\d{{2}}-\d{{2}}|"
    rf"\d{{1,2}}[./]\d{{1,2}}[./]\d{{2,4}}|\d{{1,2}}\.\d{{1,2}}\.",
    re.IGNORECASE,
)
_TOKEN = re.compile(r"[^\s,]+")
_TAIL = re.compile(
    r"[ ,]+(?:right now|now|these days|nowadays|currently|at the moment|at present|today|already|again|recently|lately|by now|"
    r"for (?:many |several |some |\w+ )?(?:years?|months?|weeks?|ages|a while)(?: now)?|"
    r"since .+|this (?:year|month|week|spring|summer|autumn|fall|winter)|last (?:year|month|week|spring|summer|autumn|fall|"
    r"winter)|\w+ (?:years?|months?|weeks?|days?) ago|in \d{4}|"
    r"very much|a lot|most of all|the most)$",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"[#$€£]?\d[\d.,:/-]*(?: ?(?:%|°[CF]?|[a-z]{1,12}))?(?: (?:old|long|tall|high|wide))?|[A-Z]{0,2}\d[A-Z\d-]{0,8}")
_UNITS = "one|two|three|four|five|six|seven|eight|nine"
_TEENS = r"ten|eleven|twelve|(?:thir|four|fif|six|seven|eigh|nine)teen"
_NUMBER_WORDS = rf"(?:{_UNITS}|{_TEENS}|(?:twen|thir|for|fif|six|seven|eigh|nine)ty(?:-(?:{_UNITS}))?)"
_AWARD = re.compile(
    r"\b(?:Prize|Award|Medal|Oscar|Grammy|Emmy|Cup|Trophy|Nobel|Championship|Fellowship|Scholarship|Pulitzer|Title|League|"
    r"Tournament|Contest|Competition|Marathon|Lottery)\b"
)


def trimmed(text: str) -> str:
    """Without quotation marks, end marks and adverbs of time around the value."""
    while True:
        shorter = _TAIL.sub("", text.strip().strip('"“”„«»*_`').rstrip(".!,;: "))
        if shorter == text:
            return text
        text = shorter


def is_proper(word: str) -> bool:
    """Written like a name: a capital first, or a script that has none."""
    first = word[:1]
    return first.isalpha() and (first.isupper() or first.lower() == first.upper()) and word.rstrip(".'’").lower() not in NOT_NAMES


def _proper_run(text: str, commas: bool) -> str | None:
    """The proper name that ``text`` begins with; None when something else follows it."""
    end, last = 0, 0
    for token in _TOKEN.finditer(text):
        word, gap = token.group(), text[end : token.start()]
        if end and "," in gap and not (commas and is_proper(word)):
            break
        if is_proper(word) or (last and (word[:1].isdigit() and len(word) < 4 and not word.isdigit())):
            end = last = token.end()
        elif (last or word in ("the", "The")) and word in CONNECTORS:
            end = token.end()  # counts only when a name follows
        else:
            break
    if not last:
        return None
    rest = text[last:].lstrip(" ,").split()
    if rest and rest[0].lower().strip(",.") not in AFTER_NAME and not rest[0][:1].isdigit():
        return None
    return text[:last]


def place(text: str) -> str | None:
    text = re.sub(
        r"^(?:the (?:beautiful |small |old |big )?(?:city|town|village|suburb|state|country) of|downtown|central|sunny|beautiful|"
        r"rainy|good old) ",
        "",
        trimmed(text),
    )
    found = _proper_run(text, commas=True)
    return found if found and len(found.split()) <= 6 else None


def name(text: str) -> str | None:
    text = trimmed(text)
    found = _proper_run(text, commas=False)
    if found is None or len(found.split()) > 4 or any(c.isdigit() or c in "/@:" for c in found):
        return None
    return trimmed(found)


def person(text: str) -> str | None:
    """The whole of ``text`` as a name that cannot be a nationality, a mood or an abbreviation, as after "I am"."""
    found = name(text)
    if (
        found is None
        or found.lower().endswith(NATIONALITY_ENDINGS)
        or any(w.isupper() and len(w) > 1 for w in found.split() if w.isascii())
    ):
        return None
    if len(found.split()) == 1 and (found != trimmed(text) or found.lower().endswith(("ed", "ing", "ful", "less"))):
        return None
    return found


def names(text: str) -> str | None:
    """One or more names: "Malia and Sasha", "Anna, Ben and Carl"."""
    parts = re.split(r",? and |, ", trimmed(text))
    return trimmed(text) if len(parts) <= 6 and all(name(part) == part.strip() for part in parts) else None


def organisation(text: str) -> str | None:
    found = _proper_run(trimmed(text), commas=False)
    return found if found and len(found.split()) <= 6 else None


def date(text: str) -> str | None:
    text = re.sub(r"^on ", "", trimmed(text))
    match = _DATE.match(text)
    if not match:
        return None
    rest = text[match.end() :].strip(" ,")
    return match.group() if not rest or rest.split()[0].lower() in AFTER_NAME or is_proper(rest) else None


def year(text: str) -> str | None:
    return trimmed(text) if re.fullmatch(r"(?:1[89]|20)\d\d", trimmed(text)) else None


def age(text: str) -> str | None:
    match = re.fullmatch(r"(\d{1,3}|[a-z]+(?:-[a-z]+)?)(?: years? old| years| yrs?(?: old)?)?", trimmed(text), re.IGNORECASE)
    if not match:
        return None
    count = match[1]
    return count if count.isdigit() or re.fullmatch(_NUMBER_WORDS, count, re.IGNORECASE) else None


def job(text: str) -> str | None:
    """A profession after words that leave no doubt ("works as a ...")."""
    text = re.sub(r"^(?:as )?(?:an?|the) ", "", trimmed(text))
    text = re.split(r",| (?:at|for|in|with|and|but|from|near|on|because|since|who|which|that|by) ", text)[0]
    tokens = text.split()
    if not 1 <= len(tokens) <= 5 or any(
        t.lower() in NO_VALUE or t.lower() in ("lot", "bit", "fan", "member", "kind", "sort") for t in tokens
    ):
        return None
    return text if all(re.fullmatch(r"[^\W\d_]+(?:[-'’&/.][^\W\d_]+)*\.?", t) for t in tokens) else None


def is_job(text: str) -> str | None:
    """A profession after "is a", where only known words and endings count."""
    found = job(text)
    if found is None:
        return None
    head = re.split(r" of ", found)[0].split()[-1].lower()
    ends = head.endswith(("er", "or", "ist", "ian", "eer", "smith", "wright", "keeper", "master")) and len(head) > 4
    return found if (head in JOBS or ends) and head not in NOT_JOBS else None


def thing(text: str) -> str | None:
    """A short noun phrase."""
    text = re.sub(r"^the (?=\w)", "", trimmed(text))
    tokens = text.split()
    if not 1 <= len(tokens) <= 4 or any(t.lower().strip(",") in NO_VALUE for t in tokens):
        return None
    return text if all(re.fullmatch(r"[^\W_]+(?:[-'’&/+#.][^\W_]*)*,?|&|[^\W_]+[+#]+", t) for t in tokens) else None


def favourite(text: str) -> str | None:
    """Anything short that is not a remark."""
    found = trimmed(re.sub(r"^(?:probably|definitely|still|now|by far|certainly|always) ", "", trimmed(text)))
    tokens = found.split()
    if not 1 <= len(tokens) <= 7 or tokens[0].lower() in NO_VALUE - {
        "what",
        "who",
        "how",
        "it",
        "this",
        "you",
        "we",
        "me",
        "your",
        "his",
        "good",
        "about",
    }:
        return None
    if tokens[0].lower() in ("it", "this", "you", "we", "me", "your", "what", "who", "how", "about") and not all(
        is_proper(t) or t in CONNECTORS or i for i, t in enumerate(tokens)
    ):
        return None
    return None if any(t.lower() in ("i", "i'm", "because", "if", "when", "which") for t in tokens) else found


def instrument(text: str) -> str | None:
    found = thing(text)
    return found if found and found.split()[0].lower() not in NOT_PLAYED and len(found.split()) <= 2 else None


def known_instrument(text: str) -> str | None:
    found = re.split(r" (?:in|at|with|for|and|on|every|since) ", trimmed(text))[0]
    return found if found.split() and found.split()[-1].lower() in INSTRUMENTS and len(found.split()) <= 2 else None


def vehicle(text: str) -> str | None:
    text = re.sub(r"^(?:an?|the) ", "", trimmed(text))
    tokens = text.split()
    return (
        text
        if 1 <= len(tokens) <= 4
        and is_proper(tokens[-1])
        and all(is_proper(t) or t.lower() in ADJECTIVES or any(c.isdigit() for c in t) for t in tokens)
        else None
    )


def award(text: str) -> str | None:
    text = re.sub(r"^(?:the|an?|my first|my|his|her|their|our|your first|your) ", "", trimmed(text))
    match = re.match(r"(?:(?:[^\W\d_a-z][\w'’-]*|(?:of|the|and|for|in|de)(?= (?:the |of )?[^\W\d_a-z])) ?)+", text)
    if not match or not _AWARD.search(match.group()) or not is_proper(text):
        return None
    return trimmed(match.group()) if len(match.group().split()) <= 8 else None


def languages(text: str) -> str | None:
    text = re.sub(r"^(?:fluent|only|both|some|native|perfect|a little|a bit of) ", "", trimmed(text))
    parts = re.split(r",? and |, ", text)
    return text if len(parts) <= 5 and all(re.fullmatch(r"(?:[A-Z][a-z]+ )?[A-Z][a-z]+", part) for part in parts) else None


def purpose(text: str) -> str | None:
    text = trimmed(text)
    return text if text.startswith("to ") and 3 <= len(text.split()) <= 14 else None


def plain(text: str) -> str | None:
    """The value of "my X is ..." for any X: a name, a number or a date, nothing else."""
    text = trimmed(re.sub(r"^(?:an?|the) (?=[A-Z])", "", trimmed(text)))
    if date(text) == text or (_NUMBER.fullmatch(text) and len(text) <= 24):
        return text
    found = _proper_run(text, commas=False)
    if found is None or found != text or len(found.split()) > 5:
        return None
    return None if found.lower().endswith(NATIONALITY_ENDINGS) and " " not in found else found


def attribute(text: str) -> str | None:
    """The value of "my X is ..." where X is a known attribute: any short noun phrase too."""
    return plain(text) or thing(re.sub(r"^an? ", "", trimmed(text)))
