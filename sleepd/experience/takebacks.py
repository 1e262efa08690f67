"""What a user takes back: "I don't live in Oslo any more" turned into the statement that it ends, "I live in Oslo".

Only words that say that something *was* so count; a plain "I don't live in Oslo" ends nothing.
"""

from __future__ import annotations

import re

_WHO = r"(?P<who>I|[Mm]y [\w-]+(?: [\w-]+)?(?:['’]s? [\w-]+)?|[^\W\d_][\w'’-]*(?: [^\W\d_][\w'’-]*){0,2})"
_OVER = r",? (?:any ?more|any longer)(?: now)?"
_BE = r"(?P<be>am|is|are)"
_JUST = r"(?:have |has )?(?:just |recently |finally )?"

_ENDINGS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), form)
    for pattern, form in (
        (rf"{_WHO} {_BE} no longer (?P<rest>.+)", "{who} {be} {rest}"),
        (rf"{_WHO}(?:['’]m|['’]re) no longer (?P<rest>.+)", "{who} am {rest}"),
        (rf"{_WHO} no longer (?P<rest>.+)", "{who} {rest}"),
        (rf"{_WHO} (?:do not|don['’]t) (?P<rest>.+?){_OVER}", "{who} {rest}"),
        (rf"{_WHO} (?:does not|doesn['’]t) (?P<verb>\w+) (?P<rest>.+?){_OVER}", "{who} {verb_s} {rest}"),
        (rf"{_WHO} {_BE} ?n(?:ot|['’]t) (?P<rest>.+?){_OVER}", "{who} {be} {rest}"),
        (rf"{_WHO}['’]m not (?P<rest>.+?){_OVER}", "{who} am {rest}"),
        (rf"{_WHO} {_JUST}moved (?:away from|out of) (?P<rest>.+)", "{who} {live} in {rest}"),
        (rf"{_WHO} {_JUST}(?:stopped|quit|gave up|given up) playing (?P<rest>.+)", "{who} {play} {rest}"),
        (
            rf"{_WHO} {_JUST}(?:stopped|quit) working (?P<rest>(?:as|at|for) .+)",
            "{who} {work} {rest}",
        ),
        (
            rf"{_WHO} {_JUST}(?:quit|left|lost) (?:my|his|her|their) job (?P<rest>(?:as|at) .+)",
            "{who} {work} {rest}",
        ),
    )
)


def ended(body: str) -> str | None:
    """The statement that ``body`` says no longer holds, or None when it says nothing of the kind."""
    for pattern, form in _ENDINGS:
        match = pattern.fullmatch(body)
        if match:
            parts = match.groupdict()
            s = "" if parts["who"] == "I" else "s"
            return form.format(**parts, verb_s=_third(parts.get("verb") or ""), live=f"live{s}", play=f"play{s}", work=f"work{s}")
    return None


def _third(verb: str) -> str:
    irregular = {"have": "has", "do": "does", "go": "goes", "be": "is"}
    if verb in irregular:
        return irregular[verb]
    return verb[:-1] + "ies" if re.search(r"[^aeiou]y$", verb) else verb + "s"
