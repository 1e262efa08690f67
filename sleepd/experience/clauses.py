"""From a user's message to the plain statements in it that may hold a fact.

Owns what is *not* the user's own, present, certain word: questions, conditions, hearsay, fiction, quotations,
pasted pages, role tokens, orders to the model. It leaves out too much rather than too little.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from sleepd.experience.privacy import SENSITIVE, findings
from sleepd.experience.prose import sentences, words
from sleepd.experience.takebacks import ended

LONGEST_OWN = 2000  # characters; nobody says more than this in one go, so it was pasted
_LONGEST_READ = 20 * LONGEST_OWN  # what is pasted is not even searched for its end

ROLE_TOKEN = re.compile(
    r"<\|[\w ]{1,40}\|>|\[/?INST\]|<</?SYS>>|</?s>|<(?:start|end)_of_turn>|^#{2,} *(?:system|instruction|user|assistant|response)\b|"
    r"^(?:system|assistant|human|user) *:",
    re.IGNORECASE | re.MULTILINE,
)
_FENCE = re.compile(r"```.*?(?:```|\Z)|~~~.*?(?:~~~|\Z)", re.DOTALL)
_QUOTED_LINE = re.compile(r"^[ \t]*(?:>|\||<[a-z!/]).*$", re.MULTILINE | re.IGNORECASE)
_QUOTATION = re.compile(r"\"[^\"\n]{2,}\"|“[^“”\n]{2,}”|«[^«»\n]{2,}»|„[^„“”\n]{2,}[“”]")
_PASTED = re.compile(
    r"(?:\b(?:article|page|website|text|e-?mail|letter|document|post|story|poem|song|lyrics|paragraph|passage|sentence|sentences|"
    r"following|below|excerpt|transcript|"
    r"review|chapter|abstract|dialogue|conversation|log|bio|biography|profile|wikipedia|he said|she said|they said|wrote|"
    r"writes)\b[^.!?\n]{0,60}:|https?://|\bwww\.).*",
    re.IGNORECASE | re.DOTALL,
)
_MATERIAL = re.compile(
    r"^(?:(?:please|now|ok|okay|can you|could you|would you|will you|i want you to|let us|let's)[ ,]+)*(?:translate|repeat|"
    r"rewrite|proofread|paraphrase|rephrase|pretend|imagine|"
    r"suppose|role-?play|play|act as|act like|continue|finish|complete|summari[sz]e|fix|correct|quote|simulate|assume|write|"
    r"ignore|forget|disregard|from now on|"
    r"always|never|you are|you're|your name|answer as|respond as|speak as|talk like|analy[sz]e|classify|parse|convert|list|extract)\b",
    re.IGNORECASE,
)
_UNCERTAIN = re.compile(
    r"\b(?:if|unless|whether|suppose|supposing|imagine|pretend|pretended|wish|wished|hope|hoped|guess|assume|think|thinks|thought|"
    r"believe|believes|believed|claim|claims|claimed|"
    r"say|says|said|saying|tell|tells|told|ask|asks|asked|heard|hear|allegedly|supposedly|apparently|reportedly|according|"
    r"rumou?rs?|dream(?:t|ed)|novel|story|stories|"
    r"character|movie|film|hypothetical|hypothetically|joke|joking|kidding|lying|lied|fake|fictional|maybe|perhaps|probably|"
    r"possibly|might|would|should|shall|"
    r"'d|unsure|not sure|wonder|wondering|doubt|seems?|seemed|sounds|forgot|forget|wonders|wrote|writes|example|e\.g|instance|as though)\b",
)
_NEGATED = re.compile(
    r"\b(?:not|never|no longer|nor|neither|hardly|barely|used to|almost|nearly|anymore|any more|without|no)\b|n['’]t\b|\bcannot\b"
)
_ENDS = re.compile(
    r"\b(?:moved (?:away from|out of)|(?:stopped|quit|gave up|given up) (?:playing|working)|(?:quit|left|lost) (?:my|h\w+|their) job)\b"
)
_COULD = re.compile(r"\b(?:could|can|may)\b(?! (?:eat|play|call)\b)")

_LEAD = re.compile(
    r"^(?:(?:by the way|btw|fyi|guess what|you know what|you should know(?: that)?|you may want to know(?: that)?|"
    r"just so you know|for your information|today i learned(?: that)?|"
    r"i (?:just |recently )?(?:learned|found out|discovered)(?: today)? that|i (?:want|wanted|would like|"
    r"'d like) you to know(?: that)?|i have to tell you(?: that)?|let me tell you(?: that)?|"
    r"did i mention that|(?:and |also |so )*(?:please )?(?:remember|note|keep in mind|know|don['’]t forget|do not forget)(?: this|"
    r" that)?|important|remember this|"
    r"no|nope|yes|yeah|yep|sure|ok|okay|well|oh|ah|actually|in fact|correction|sorry|oops|my mistake|my bad|i was wrong|"
    r"i made a mistake|i misspoke|i meant|i mean|wait|"
    r"hi|hello|hey|hi there|hello there|good (?:morning|evening|afternoon|day)|thanks|thank you|also|and|but|so|besides|plus|"
    r"anyway|then|now|today|currently|these days|in reality|"
    r"of course|honestly|frankly|fun fact|news|good news|big news|update|as you know|as i said|like i said|to be (?:honest|"
    r"precise|exact|clear)|for the record)"
    r"(?:[ ]*[,:;!.–—-]+[ ]*|[ ]+(?=that |my |i |i['’]m |the name )|(?<=that)[ ]+|(?<=remember)[ ]+|(?<=learned)[ ]+|(?<=know)[ ]+))+",
    re.IGNORECASE,
)
_TRAILING = re.compile(
    r"(?:[\s.!,;:…~–—-]|[^\w\s'\"’”»)\]%.,+#&$€£°/*-]|:-?[)D(P]|;-?\)|<3|,? (?:by the way|btw|you know|just so you know|fyi|"
    r"please remember(?: that| this| it)?|remember(?: that| this)?|"
    r"don['’]t forget(?: that| it)?|actually|lol|haha+|too|as well|of course|in fact|for the record))+$",
    re.IGNORECASE,
)
_CONTRAST = re.compile(r",? (?:and )?(?:not|instead of|rather than) [^,;]{1,60}$", re.IGNORECASE)
_JOINT = re.compile(
    r"(?:\s*;\s+|,?\s+(?:and|but|so|because|while|whereas|though|although)\s+(?=(?:I|I['’]m|I['’]ve|i|i['’]m|my|My|we|"
    r"the name of my)\b)|,\s+(?=(?:I|I['’]m|I['’]ve|my)\b))"
)
_VERB = r"(?:live|work|play|have|love|like|enjoy|speak|drive|prefer|own|study|do|am|is)s?|has|does|was|moved|won|founded|married|graduated"
_SHARED = re.compile(
    rf"^(?P<who>I|i|[Mm]y [a-z-]+(?: [a-z-]+)?|[^\W\d_]+ [^\W\d_]+) (?P<one>(?:{_VERB}) .+?),? and (?P<two>(?:{_VERB}) .+)$"
)
_ASIDE = re.compile(r"^(?:[Hh]i|[Hh]ello|[Hh]ey)[ ,]+[^\W\d_]+[,!.]\s+")


@dataclass(frozen=True)
class Clause:
    """``text``: a bare statement; ``quote``: the sentence as the user wrote it; ``marked``: the user stressed it.

    ``over``: the user says that ``text`` was so and is no longer.
    """

    text: str
    quote: str
    marked: bool
    corrects: bool
    over: bool = False


def own_words(message: str) -> str:
    """The part of a message that its user said, without what was quoted or pasted. Empty when that is unclear."""
    if ROLE_TOKEN.search(message):
        return ""
    text = _QUOTED_LINE.sub("", _FENCE.sub("\n", message[:_LONGEST_READ]))
    text = _PASTED.sub("", text)
    text = _QUOTATION.sub(lambda m: m.group() if len(words(m.group())) <= 3 else " … ", text)
    return text if len(text) <= LONGEST_OWN else ""


def statements(message: str) -> Iterator[tuple[Clause, ...]]:
    """Each sentence's readings, most literal first: the whole, then its parts where it joins several."""
    for sentence in sentences(own_words(message)):
        if _MATERIAL.match(sentence):
            return  # what follows is material to work on, or an order, not a statement
        if sentence.rstrip("\"'”’)*_! ").endswith(("?", "？")) or "…" in sentence:
            continue
        if SENSITIVE.search(sentence) or findings(sentence):
            continue
        lead = _lead(sentence)
        whole = _TRAILING.sub("", sentence[len(lead) :])
        body = whole if ended(whole) else _CONTRAST.sub("", whole)
        if not body or _UNCERTAIN.search(body.replace("’", "'")):
            continue
        marked = bool(re.search(r"(?i)\b(?:remember|important|don['’]t forget|keep in mind|do not forget|note)\b", lead + sentence[-30:]))
        corrects = bool(re.search(r"(?i)\b(?:no|nope|actually|correction|sorry|oops|mistake|wrong|misspoke|meant)\b", lead))
        yield tuple(Clause(text, sentence, marked, corrects, over) for text, over in _readings([body, *_parts(body)]))


def _readings(texts: list[str]) -> Iterator[tuple[str, bool]]:
    """What is stated, and (with True) what is said to be over; what is only denied is neither."""
    for text in texts:
        if not _NEGATED.search(text) and not _COULD.search(text) and not _ENDS.search(text):
            yield text, False
        elif (before := ended(text)) and not _NEGATED.search(before) and not _COULD.search(before):
            yield before, True


def _lead(sentence: str) -> str:
    at = 0
    while match := (_LEAD.match(sentence[at:]) or _ASIDE.match(sentence[at:])):
        at += match.end()
    return sentence[:at]


def _parts(body: str) -> list[str]:
    """The statements that a sentence joins with "and", "but" or a comma."""
    parts = [_TRAILING.sub("", part) for part in _JOINT.split(body)]
    found = []
    for part in parts:
        shared = _SHARED.match(part)
        found += [f"{shared['who']} {shared['one']}", f"{shared['who']} {shared['two']}"] if shared else [part]
    return [part for part in found if part and part != body]
