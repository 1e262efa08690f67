"""Words, sentences and repetition of a text, in any script. Pure measuring: no limits, no verdicts."""

from __future__ import annotations

import re
from collections import Counter

# A word, or one character of a script that is written without spaces.
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\u0e00-\u0e7f]|[^\W_]+(?:['’][^\W_]+)*")
_END = re.compile(r"[.!?…。！？]+[\"'”’»)\]*_`]*(?=\s|$)|[。！？]")
_CLOSED = re.compile(r"(?:[.!?…。！？:;][\"'”’»)\]*_`]*|```|[)\]}>\"”»]|[:;]-?[)D(P]|[^\w\s.,\-–—(\[{'‘’“&/+=<])\s*$")
_ABBREVIATION = re.compile(
    r"(?:\b(?:e\.g|i\.e|etc|vs|cf|Mr|Mrs|Ms|Dr|Prof|St|Jr|Sr|No|Nr|Inc|Ltd|Co|approx|a\.m|p\.m|U\.S|[A-Z])|(?:^|\n)[ \t>*-]*\d{1,3})\.$"
)


def words(text: str) -> list[str]:
    return _WORD.findall(text.lower())


def distinct_share(tokens: list[str], size: int = 3) -> float:
    """Distinct n-grams over all n-grams; 1.0 for a text that is too short to repeat one."""
    count = len(tokens) - size + 1
    return len({tuple(tokens[i : i + size]) for i in range(count)}) / count if count > 0 else 1.0


def most_repeated(tokens: list[str], size: int = 5) -> tuple[str, int]:
    """The most frequent phrase of ``size`` words and how often it occurs."""
    if len(tokens) < size:
        return "", 0
    phrase, count = Counter(tuple(tokens[i : i + size]) for i in range(len(tokens) - size + 1)).most_common(1)[0]
    return " ".join(phrase), count


def sentence_ends(text: str) -> list[int]:
    """Offsets just after each sentence that ends with its own mark (not after "e.g." or a list's "3.")."""
    return [m.end() for m in _END.finditer(text) if not (m.group() == "." and _ABBREVIATION.search(text[: m.end()][-24:]))]


def sentences(text: str) -> list[str]:
    """Sentences, also where a line break ends one."""
    found, start = [], 0
    for end in [*sentence_ends(text), len(text)]:
        found += [line.strip() for line in text[start:end].split("\n")]
        start = end
    return [sentence for sentence in found if sentence]


def is_cut(text: str) -> bool:
    """True when the text stops in the middle of a sentence. One short line without any mark is not cut."""
    stripped = text.rstrip()
    if not stripped or _CLOSED.search(stripped):
        return False
    return bool(sentence_ends(stripped)) or len(words(stripped)) > 60


def up_to_last_sentence(text: str) -> str:
    """The text up to its last whole sentence; empty when there is none."""
    ends = sentence_ends(text)
    return text[: ends[-1]].rstrip() if ends else ""
