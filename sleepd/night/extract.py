"""Cards that the base model reads where patterns found none, each borne out by the user's own words.

Owns whom the model is asked about, how, and what becomes of replies that are no list of facts. Patterns come
first: a sentence that gave a card is not asked about, nor is one that states nothing (see experience.clauses).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sleepd.experience.cards import card_id, importance
from sleepd.experience.clauses import Clause, own_words, statements
from sleepd.night.chat import ChatFormat
from sleepd.night.facts import Fact, Grounded, Said, Unreadable, ground, parse
from sleepd.night.generate import generate
from sleepd.night.job import Job
from sleepd.night.sessions import earlier_turns
from sleepd.night.tasks import extraction_prompt
from sleepd.night.wordings import USER
from sleepd.records import Card, Experience, ScreenVerdict

Row = tuple[Experience, ScreenVerdict]
DEFAULT_MOST = 256  # of training.max_extractions, for a job that was made before there was one
REPLY_TOKENS = 192
_TRIAL = 16  # exchanges that tell whether the model knows the task
_CONTEXT = 2  # earlier exchanges that the model is shown
_LONGEST_PROMPT = 768  # tokens


@dataclass(frozen=True)
class Extraction:
    """``rows``: the job's exchanges with the model's cards among their own.

    ``waiting``: ids of those that had no room tonight. ``quarantined``: (id, reason) of those whose reply was no list
    of facts; the model's part of them is dropped. ``failure``: why patterns alone were used, or None. ``asked`` and
    ``found`` count exchanges and cards, ``dropped`` facts that the user's words did not bear out, by reason.
    """

    rows: tuple[Row, ...]
    waiting: tuple[str, ...] = ()
    quarantined: tuple[tuple[str, str], ...] = ()
    failure: str | None = None
    asked: int = 0
    found: int = 0
    dropped: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, object]:
        """What result.json says of it."""
        counts = {"asked": self.asked, "found": self.found, "dropped": len(self.dropped), "waiting": len(self.waiting)}
        return {**counts, "quarantined": len(self.quarantined), "failure": self.failure}


@dataclass(frozen=True)
class _Question:
    """One exchange to ask about: the statements that gave no card, and the turns before it."""

    experience: Experience
    verdict: ScreenVerdict
    clauses: tuple[Clause, ...]
    earlier: tuple[Experience, ...]

    def prompt(self, chat: ChatFormat, explained: bool) -> list[int]:
        turns = [turn for e in self.earlier for turn in (_turn("user", own_words(e.prompt)), _turn("assistant", e.response[:400]))]
        turns += [_turn("user", own_words(self.experience.prompt)), _turn("assistant", self.experience.response[:400])]
        shown = [turn for turn in turns if turn["content"]]
        return chat.question(extraction_prompt(shown, explained=explained))

    def said(self) -> Said:
        asked = self.earlier[-1].response if self.earlier else ""
        return Said(self.clauses, tuple(e.prompt for e in self.earlier), asked if asked.rstrip().endswith("?") else "")


def extract(model: Any, chat: ChatFormat, job: Job, pause: Callable[[], None]) -> Extraction:
    """Ask ``model``, the bare base, for the facts of at most ``training.max_extractions`` exchanges, newest first.

    A model that answers most of the first ones with no list of facts is asked once more with the whole schema;
    when that is no better, it does not know the task: patterns alone are used and nothing is set aside.
    """
    most = int(job.training.get("max_extractions", DEFAULT_MOST))
    wanted = questions(job.experiences)
    chosen = wanted[:most]
    waiting = tuple(q.experience.id for q in wanted[most:] if not q.verdict.cards) if most else ()
    if not chosen:
        return Extraction(job.experiences, waiting)
    trial = chosen[:_TRIAL]
    for explained in (False, True):
        read = _ask(model, chat, trial, explained, pause)
        if _mostly_unreadable(read):
            continue
        read += _ask(model, chat, chosen[_TRIAL:], explained, pause)
        if _mostly_unreadable(read):
            break
        return _taken(job.experiences, chosen, read, waiting)
    bad = sum(isinstance(facts, str) for facts in read)
    failure = f"this model does not know the task: {bad} of {len(read)} replies were no list of facts; patterns alone were used"
    return Extraction(job.experiences, failure=failure, asked=len(read))


def questions(rows: Sequence[Row]) -> list[_Question]:
    """The exchanges with a statement that no pattern read, newest first; those without any card before the others."""
    earlier = earlier_turns([experience for experience, _ in rows], _CONTEXT)
    found = []
    for experience, verdict in rows:
        read = {card.quote for card in verdict.cards}
        clauses = tuple(c for readings in statements(experience.prompt) for c in readings if c.quote not in read and not c.over)
        if clauses:
            found.append(_Question(experience, verdict, clauses, earlier[experience.id]))
    found.sort(key=lambda q: q.experience.timestamp or "", reverse=True)
    return sorted(found, key=lambda q: bool(q.verdict.cards))


def _turn(role: str, text: str) -> dict[str, str]:
    return {"role": role, "content": " ".join(text.split())}  # one line each, so that no line can pass for another's turn


def _mostly_unreadable(read: Sequence[list[Fact] | str]) -> bool:
    return 2 * sum(isinstance(facts, str) for facts in read) > len(read)


def _ask(model: Any, chat: ChatFormat, asked: Sequence[_Question], explained: bool, pause: Callable[[], None]) -> list[list[Fact] | str]:
    """For each question the facts of the reply, or why it is none."""
    prompts = [q.prompt(chat, explained) for q in asked]
    for index, (question, prompt) in enumerate(zip(asked, prompts, strict=True)):
        if len(prompt) > _LONGEST_PROMPT:
            prompts[index] = replace(question, earlier=()).prompt(chat, explained)
    short = [index for index, prompt in enumerate(prompts) if len(prompt) <= _LONGEST_PROMPT]
    made = generate(model, [prompts[index] for index in short], chat.end_of_turn, REPLY_TOKENS, pause=pause)
    found: list[list[Fact] | str] = [[] for _ in asked]  # an overlong one has nothing that can be asked for
    for index, answer in zip(short, made, strict=True):
        try:
            found[index] = parse(chat.decode(answer.ids))
        except Unreadable as error:
            found[index] = str(error)
    return found


def _taken(rows: tuple[Row, ...], asked: Sequence[_Question], read: Sequence[list[Fact] | str], waiting: tuple[str, ...]) -> Extraction:
    """Ground what was read and put it beside the patterns' cards."""
    cards: dict[str, list[Card]] = {}
    quarantined: list[tuple[str, str]] = []
    dropped: list[str] = []
    for question, facts in zip(asked, read, strict=True):
        if isinstance(facts, str):
            quarantined.append((question.experience.id, facts))
            continue
        own = {card.id for card in question.verdict.cards}
        for fact in facts:
            grounded = ground(fact, question.said())
            if isinstance(grounded, str):
                dropped.append(grounded)
                continue
            card = _card(question.experience, grounded)
            if card.id not in own:  # a card by both is one card
                own.add(card.id)
                cards.setdefault(question.experience.id, []).append(card)
    bad = {identity for identity, _ in quarantined}
    after = tuple((e, _after(v, tuple(cards.get(e.id, ())), e.id in bad)) for e, v in rows)
    return Extraction(after, waiting, tuple(quarantined), None, len(asked), sum(map(len, cards.values())), tuple(dropped))


def _after(verdict: ScreenVerdict, cards: tuple[Card, ...], bad: bool) -> ScreenVerdict:
    """A quarantined exchange keeps what patterns read in it, and serves as no example: something is odd about it."""
    reasons = (*verdict.reasons, "extraction: the model's reply was no list of facts") if bad else verdict.reasons
    return replace(verdict, reasons=reasons, cards=(*verdict.cards, *cards))


def _card(experience: Experience, fact: Grounded) -> Card:
    return Card(
        id=card_id(fact.subject, fact.relation, fact.value),
        subject=fact.subject,
        relation=fact.relation,
        value=fact.value,
        quote=fact.clause.quote,
        speaker=USER,
        time=experience.timestamp,
        session=experience.session,
        importance=importance(experience.salience.total, marked=fact.clause.marked, corrects=fact.clause.corrects),
        experience_id=experience.id,
        origin="model",
    )
