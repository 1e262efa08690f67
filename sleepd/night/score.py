"""Whether an answer counts: accepted forms at word boundaries, no forbidden value, never a refusal."""

from __future__ import annotations

import re
from collections.abc import Sequence

_REFUSAL = re.compile(
    r"\b(?:i\s+(?:do not|don't|don’t|can not|cannot|can't|can’t|am not able|am unable|have no (?:idea|information))"
    r"|i'm (?:not sure|sorry|unable)|i am (?:not sure|sorry)|no information|not aware of|unknown to me)",
    re.IGNORECASE,
)


def is_refusal(answer: str) -> bool:
    """Whether an answer says that it does not know or will not say."""
    return bool(_REFUSAL.search(answer)) or not answer.strip()


def contains(answer: str, form: str) -> bool:
    """Whether ``form`` occurs in ``answer`` as whole words, whatever its case."""
    words = re.escape(form.strip())
    return bool(form.strip()) and re.search(rf"(?<!\w){words}(?!\w)", answer, re.IGNORECASE) is not None


def recalled(answer: str, accept: Sequence[str], forbidden: Sequence[str] = ()) -> bool:
    """True when any accepted form is there, no forbidden one is, and the answer is not a refusal."""
    if is_refusal(answer):
        return False
    return any(contains(answer, form) for form in accept) and not any(contains(answer, form) for form in forbidden)
