"""What must never be learned: secrets and personal data. Owns their patterns; decides nothing about an exchange."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """``kind`` as in a reason ("api key"); ``secret`` ones are scrubbed before anything is stored."""

    kind: str
    secret: bool
    start: int
    end: int


def _luhn(text: str) -> bool:
    digits = [int(c) for c in text if c.isdigit()]
    if not 13 <= len(digits) <= 19 or len(set(digits)) == 1:
        return False
    doubled = (d * 2 - 9 * (d > 4) if i % 2 else d for i, d in enumerate(reversed(digits)))
    return sum(doubled) % 10 == 0


def _iban(text: str) -> bool:
    compact = text.replace(" ", "")
    moved = compact[4:] + compact[:4]
    return 15 <= len(compact) <= 34 and int("".join(str(int(c, 36)) for c in moved)) % 97 == 1


def _phone(text: str) -> bool:
    return 9 <= sum(c.isdigit() for c in text) <= 15


_NAMED = (
    r"(?:pass(?:word|phrase|code|wd)|pin(?: code)?|secret(?: key)?|api[ _-]?key|access[ _-]?key|private key|"
    r"auth(?:entication)? token|access[ _-]?token|token)"
)
_BARE = r"(?=[^\s\"'.,;]*[\d!@#$%^&*])[^\s\"',;]{4,}"  # a value that looks made to be secret
_DESCRIBING = (
    r"(?:not|too|very|so|really|quite|a|an|the|in|on|at|with|same|different|weak|strong|wrong|right|correct|incorrect|invalid|"
    r"valid|lost|gone|hard|easy|safe|"
    r"long|short|old|new|required|stored|written|expired|secret|hidden|simple|encrypted|being|still|never|always|no|missing|"
    r"rejected|accepted|unknown)\b"
)
_PATTERNS: tuple[tuple[str, bool, re.Pattern[str], Callable[[str], bool] | None], ...] = (
    (
        "private key",
        True,
        re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----(?:.{0,10000}?-----END [A-Z ]*PRIVATE KEY-----)?", re.DOTALL),
        None,
    ),
    ("api key", True, re.compile(r"\b(?:sk|pk|rk)[-_](?:[A-Za-z]+[-_])*[A-Za-z0-9]{16,}\b"), None),
    ("api key", True, re.compile(r"\b(?:gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|glpat-[\w-]{20,}|hf_[A-Za-z0-9]{20,})"), None),
    ("api key", True, re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b|\bAIza[\w-]{30,}|\bxox[abprs]-[\w-]{10,}"), None),
    ("token", True, re.compile(r"\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{4,}|\bBearer [\w.~+/-]{20,}=*"), None),
    (
        "password",
        True,
        re.compile(rf"(?i)\b{_NAMED}\b[^\S\n]*(?:is|was|=|:)[^\S\n]*(?:called |now )?(?P<value>\"[^\"\n]+\"|'[^'\n]+'|{_BARE})"),
        None,
    ),
    # in "my password is X" even an ordinary word is one, unless it describes the password
    (
        "password",
        True,
        re.compile(
            rf"(?i)\b(?:my|our|her|his|their|your)\b[^.!?\n]{{0,30}}?\b{_NAMED} (?:is|was) (?!{_DESCRIBING})(?P<value>[^\s\"'.,;!?]{{4,}})"
        ),
        None,
    ),
    ("password", True, re.compile(r"(?i)\b(?:passw(?:or)?d|pwd|secret|api_?key|token)[=:](?P<value>[^\s\"',;]{6,})"), None),
    ("password", True, re.compile(r"\b[a-z][a-z+.-]*://[^\s:/@]+:(?P<value>[^\s:/@]+)@"), None),
    ("card number", True, re.compile(r"(?<![\w.])\d(?:[ -]?\d){12,18}(?![\w])"), _luhn),
    ("iban", True, re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,4})?\b"), _iban),
    ("social security number", True, re.compile(r"(?<![\d-])(?!000|666|9)\d{3}-\d{2}-\d{4}(?![\d-])"), None),
    ("e-mail address", False, re.compile(r"(?<![\w.+-])[\w.+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}"), None),
    (
        "phone number",
        False,
        re.compile(r"(?<![\w.,/-])(?:\+\d{1,3}[ .-]?)(?:\(\d{1,4}\)[ .-]?)?\d{2,4}(?:[ .-]?\d{2,4}){1,4}(?![\w-])"),
        _phone,
    ),
    ("phone number", False, re.compile(r"(?<![\w.,/-])\(?\d{3}\)?[ .-]\d{3}[ .-]\d{4}(?![\w-])"), _phone),
)
# A subject of talk that has no safe value: no card is ever made of it.
SENSITIVE = re.compile(
    rf"(?i)\b(?:{_NAMED}|wi-?fi (?:key|code)|login|credentials?|ssn|social security|credit card|debit card|card number|cvv|cvc|iban|"
    r"account number|bank account|routing number|passport(?: number)?|driver'?s licen[cs]e|licen[cs]e number|e-?mail(?: address)?|"
    r"phone(?: number)?|"
    r"mobile number|telephone(?: number)?|home address|street address|ip address|safe combination|door code|alarm code|"
    r"seed phrase|recovery (?:code|phrase))\b"
)
_WORTH_A_LOOK = re.compile(r"[\d@]|(?i:pass|pwd|secret|token|key)|-----BEGIN|\b(?i:pin)\b")
SCRUBBED = "[removed]"


def findings(text: str) -> list[Finding]:
    """Every secret and piece of personal data in ``text``, in order of position."""
    found: list[Finding] = []
    if not _WORTH_A_LOOK.search(text):
        return found
    for kind, secret, pattern, valid in _PATTERNS:
        for match in pattern.finditer(text):
            group = "value" if "value" in pattern.groupindex else 0
            if valid is None or valid(match.group(group)):
                found.append(Finding(kind, secret, match.start(group), match.end(group)))
    return sorted(found, key=lambda f: (f.start, -f.end))


def scrub(text: str) -> tuple[str, tuple[str, ...]]:
    """``text`` with every secret replaced, and the kinds that were found. Personal data stays."""
    kinds: dict[str, None] = {}
    parts, at = [], 0
    for finding in findings(text):
        if finding.secret and finding.end > at:
            parts += [text[at : max(at, finding.start)], SCRUBBED if finding.start >= at else ""]
            at = finding.end
            kinds[finding.kind] = None
    return "".join(parts) + text[at:], tuple(kinds)
