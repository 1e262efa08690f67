"""The screen: may this reply serve as an example of behaviour, and what facts did the user state beside it?

Needs no model. Every verdict carries its reasons, each as "code: numbers" with one of the codes below, so that
they can be counted. Salience ranks and weighs; that it must reach a minimum is one reason among others and
saves no reply from the rest.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sleepd.experience.cards import extract
from sleepd.experience.clauses import ROLE_TOKEN
from sleepd.experience.privacy import findings
from sleepd.experience.prose import distinct_share, is_cut, most_repeated, up_to_last_sentence, words
from sleepd.experience.recent import Recent, made_by_adapter
from sleepd.experience.similar import Reply
from sleepd.records import Experience, ScreenVerdict

CODES = (
    *("duplicate", "near_duplicate", "collapsed", "short", "cut", "tool_json", "role_tokens", "secret", "personal_data"),
    *("own_adapter", "prompt_share", "session_share", "low_salience"),
)

# what a collapsed reply looks like
MIN_WORDS = 8
MAX_QUESTION_MARKS = 10
MIN_DISTINCT_3 = 0.70
PHRASE_WORDS, PHRASE_TIMES, PHRASE_FROM = 5, 3, 20
IDENTICAL_AMONG, IDENTICAL_TIMES = 20, 3
# shares mean nothing among a few
PROMPT_FLOOR, SESSION_FLOOR, OWN_FLOOR = 10, 50, 20
# a whole conversation: collapsed ones measured at most .61, healthy ones at least .82
TAIL_REPLIES, TAIL_AT_LEAST, TAIL_DISTINCT_3, TAIL_COLLAPSED_SHARE = 20, 5, 0.61, 0.5

_COMMON = frozenset(
    "a an the and or but if of to in on at by for with from as is are was were be been am do does did have has had i me my we us "
    "our you your he she it its "
    "they them their this that these those what which who how when where why would could should can will may might not no yes so "
    "too very just about "
    "there here than then any some all more most other into out up down over one also".split()
)
_TOOL_MARK = re.compile(
    r"</?tool_call|</?function_call|<\|python_tag\|>|^[ \t]*(?:Action|Action Input|Observation|Tool call)\s*:", re.IGNORECASE | re.MULTILINE
)
_FENCED = re.compile(r"^```(?:json|tool\w*)?\s*(.*?)\s*```$", re.DOTALL)


@dataclass(frozen=True)
class ScreenLimits:
    """Limits that the configuration may set. Shares are 0..1: of all experiences, or of the last replies for ``max_own_share``."""

    min_salience: float = 0.6
    max_prompt_share: float = 0.10
    max_session_share: float = 0.5
    max_own_share: float = 0.5
    trusted_tools: tuple[str, ...] = ()


class Screen:
    """Judges experiences one by one, in the order in which they arrived."""

    def __init__(self, limits: ScreenLimits) -> None:
        self.limits = limits

    def judge(self, experience: Experience, recent: Recent) -> ScreenVerdict:
        """The verdict on one experience. ``recent`` is what came before it; the caller adds it there afterwards."""
        reply, trimmed = experience.response, None
        reasons = [*_form(reply), *_private(experience)]
        if is_cut(reply):
            trimmed = up_to_last_sentence(reply) or None
            if trimmed is None:
                reasons.append("cut: it ends in the middle and holds no whole sentence")
        count = len(words(trimmed or reply))
        if count < MIN_WORDS:
            reasons.append(f"short: {count} words < {MIN_WORDS}")
        alike = recent.window.alike(reply)
        reasons += _repeats(experience, alike, recent)
        if collapse := collapsed(reply) or _collapsed_in_context(experience, alike, recent):
            reasons.append(f"collapsed: {collapse}")
        reasons += self._shares(experience, recent)
        if experience.salience.total < self.limits.min_salience:
            reasons.append(f"low_salience: {experience.salience.total:.2f} < {self.limits.min_salience:.2f}")
        return ScreenVerdict(experience.id, tuple(reasons), extract(experience, self.limits.trusted_tools), trimmed)

    def _shares(self, experience: Experience, recent: Recent) -> Iterable[str]:
        total = recent.total + 1
        of_prompt = recent.of_prompt(experience.prompt) + 1
        if of_prompt > max(PROMPT_FLOOR, self.limits.max_prompt_share * total):
            yield f"prompt_share: {of_prompt} of {total} have this prompt, limit {self.limits.max_prompt_share:.0%}"
        if experience.session is not None:
            of_session = recent.of_session(experience.session) + 1
            if of_session > max(SESSION_FLOOR, self.limits.max_session_share * total):
                limit = f"limit {self.limits.max_session_share:.0%}"
                yield f"session_share: {of_session} of {total} are from session {experience.session}, {limit}"
        if made_by_adapter(experience):
            made, among = (count + 1 for count in recent.made_by_adapters())
            if made > max(OWN_FLOOR, self.limits.max_own_share * among):
                yield f"own_adapter: adapters made {made} of the last {among} replies, limit {self.limits.max_own_share:.0%}"


def collapsed(reply: str) -> str | None:
    """Why this reply by itself shows a collapsed model, or None."""
    tokens = words(reply)
    distinct = distinct_share(tokens)
    if len(tokens) >= MIN_WORDS and distinct <= MIN_DISTINCT_3:
        return f"distinct-3 {distinct:.2f} <= {MIN_DISTINCT_3:.2f}"
    phrase, times = most_repeated(tokens, PHRASE_WORDS)
    if len(tokens) > PHRASE_FROM and times >= PHRASE_TIMES:
        return f'"{phrase}" {times} times in {len(tokens)} words'
    questions = reply.count("?") + reply.count("？")
    if questions > MAX_QUESTION_MARKS:
        return f"{questions} question marks > {MAX_QUESTION_MARKS}"
    return None


def collapsed_tail(experiences: Sequence[Experience]) -> str | None:
    """Why the latest replies, taken together, forbid a night, or None. ``experiences``: oldest first.

    Brief acknowledgements are alike in every healthy conversation, so only telling replies count.
    """
    tail = [experience for experience in experiences if _telling(experience)][-TAIL_REPLIES:]
    if len(tail) < TAIL_AT_LEAST:
        return None
    bad = sum(collapsed(experience.response) is not None for experience in tail)
    if bad >= TAIL_COLLAPSED_SHARE * len(tail):
        return f"{bad} of the last {len(tail)} replies are collapsed"
    distinct = distinct_share([word for experience in tail for word in words(experience.response)])
    if distinct <= TAIL_DISTINCT_3:
        return f"the last {len(tail)} replies repeat one another: distinct-3 {distinct:.2f} <= {TAIL_DISTINCT_3:.2f}"
    return None


def _telling(experience: Experience) -> bool:
    """Whether sameness of this reply means anything: it is long, or it answers a question in a sentence."""
    count = len(words(experience.response))
    return count > PHRASE_FROM or (count >= MIN_WORDS and "?" in experience.prompt)


def _form(reply: str) -> Iterable[str]:
    if _TOOL_MARK.search(reply) or _is_json(reply):
        yield "tool_json: the reply is a tool call or raw JSON"
    if ROLE_TOKEN.search(reply):
        yield "role_tokens: the reply holds chat markup"


def _is_json(reply: str) -> bool:
    stripped = reply.strip()
    fenced = _FENCED.match(stripped)
    body = fenced[1] if fenced else stripped
    if not body.startswith(("{", "[")) or not body.endswith(("}", "]")):
        return False
    try:
        return isinstance(json.loads(body), dict | list)
    except (ValueError, RecursionError):
        return body.count('":') >= 2  # braces and keys, only not well-formed


def _private(experience: Experience) -> Iterable[str]:
    kinds: dict[tuple[bool, str], None] = {}
    for text in (experience.prompt, experience.response):
        kinds.update({(finding.secret, finding.kind): None for finding in findings(text)})
    yield from (f"{'secret' if secret else 'personal_data'}: {kind}" for secret, kind in kinds)


def _repeats(experience: Experience, alike: list[Reply], recent: Recent) -> Iterable[str]:
    if not alike:
        return
    same = next((reply for reply in alike if _plain(reply.text) == _plain(experience.response)), None)
    if same is not None:
        yield f"duplicate: the same reply as {same.experience_id}, {recent.window.age(same)} before"
    else:
        yield f"near_duplicate: nearly the reply of {alike[0].experience_id}, {recent.window.age(alike[0])} before"


def _collapsed_in_context(experience: Experience, alike: list[Reply], recent: Recent) -> str | None:
    """Collapse that only its neighbours show."""
    lately = sum(recent.window.age(reply) <= IDENTICAL_AMONG for reply in alike)
    if lately >= IDENTICAL_TIMES and _telling(experience):
        return f"near-identical to {lately} of the last {IDENTICAL_AMONG} replies"
    before = recent.last
    if before is None or experience.session is None or before.session != experience.session:
        return None
    if not _answers(experience) and collapsed(before.response):
        return f"follows a collapsed reply of session {experience.session} and shares no word with its own prompt"
    return None


def _answers(experience: Experience) -> bool:
    """False when a long reply has no content word in common with what was said to it."""
    said, replied = (set(words(text)) - _COMMON for text in (experience.prompt, experience.response))
    return len(words(experience.response)) <= PHRASE_FROM or not said or bool(said & replied)


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())
