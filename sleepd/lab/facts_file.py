"""Reads a facts file: facts that somebody brings, what the model is expected to know, and unseen text. Strict, and pure.

Every bad field is told at once, with its place, what was found there and what to write instead; nothing is guessed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sleepd.errors import ExitCode, SleepdError
from sleepd.lab.world import Fact
from sleepd.night.score import contains
from sleepd.night.wordings import KIN_PREFIX, USER

_MOST_TOLD = 20
_TOP = ("facts", "known", "text")
_FACT = ("subject", "relation", "value", "statements", "questions")
_QUESTIONS = ("train", "test", "reverse")


class FactsFileError(SleepdError):
    """A facts file that cannot be used as it is."""

    exit_code = ExitCode.USAGE


@dataclass(frozen=True)
class BroughtFact:
    """One fact of the file. Empty ``train``, ``test`` or ``reverse``: the project's own wordings are used there."""

    fact: Fact
    statements: tuple[str, ...]
    train: tuple[str, ...]
    test: tuple[str, ...]
    reverse: tuple[str, ...]


@dataclass(frozen=True)
class FactsFile:
    """``text``: passages that no night reads. ``unread``: keys that mean nothing here, by their place."""

    facts: tuple[BroughtFact, ...]
    known: tuple[BroughtFact, ...]
    text: tuple[str, ...]
    unread: tuple[str, ...]


@dataclass
class _Reading:
    """Collects what is wrong, so that all of it can be told together."""

    problems: list[tuple[str, str]] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)

    def bad(self, where: str, what: str, remedy: str) -> None:
        self.problems.append((f"{where} {what}", f"{where}: {remedy}"))

    def keys(self, value: Mapping[str, Any], where: str, known: Sequence[str]) -> None:
        self.unread += [f"{where}.{key}".lstrip(".") for key in value if key not in known]

    def text(self, value: Any, where: str) -> str:
        """A text that says something; "" when it is none."""
        if not isinstance(value, str):
            self.bad(where, f"is {_shown(value)}, not a text", "write a text in quotes")
        elif not value.strip():
            self.bad(where, f"is {_shown(value)}, which says nothing", "write a text that is not empty")
        else:
            return value.strip()
        return ""

    def texts(self, value: Any, where: str) -> tuple[str, ...]:
        if not isinstance(value, list):
            self.bad(where, f"is {_shown(value)}, not a list", "write a list of texts")
            return ()
        return tuple(text for i, one in enumerate(value) if (text := self.text(one, f"{where}[{i}]")))


def load(path: Path) -> FactsFile:
    """Read a facts file. Raises FactsFileError that names every bad field."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise FactsFileError(f"{path} cannot be read: {error.strerror}", "name a file that exists and that you may read") from error
    except UnicodeDecodeError as error:
        raise FactsFileError(f"{path} is not UTF-8: byte {error.start} is {error.object[error.start]:#04x}", "save it as UTF-8") from error
    except ValueError as error:
        raise FactsFileError(
            f"{path} is not JSON: {error}", 'write one JSON object: {"facts": [...], "known": [...], "text": [...]}'
        ) from error
    reading = _Reading()
    found = _document(document, reading)
    if reading.problems:
        told, more = reading.problems[:_MOST_TOLD], len(reading.problems) - _MOST_TOLD
        lines = [f"{path} cannot be used: {told[0][0]}", *(what for what, _ in told[1:]), *([f"and {more} more"] if more > 0 else [])]
        raise FactsFileError("\n".join(lines), "\n".join(dict.fromkeys(remedy for _, remedy in told)))
    return found


def _document(value: Any, reading: _Reading) -> FactsFile:
    if not isinstance(value, dict):
        reading.bad("the document", f"is {_shown(value)}, not an object", 'write {"facts": [...]}')
        return FactsFile((), (), (), ())
    reading.keys(value, "", _TOP)
    if "facts" not in value:
        reading.bad("facts", "is missing", "add the list of facts that are to be told")
    facts = _facts(value.get("facts", []), "facts", reading)
    if "facts" in value and value["facts"] == []:
        reading.bad("facts", "is an empty list", "add at least one fact")
    known = _facts(value.get("known", []), "known", reading)
    text = reading.texts(value.get("text", []), "text")
    _contradictions(facts, known, reading)
    _asked_twice(facts, known, reading)
    return FactsFile(tuple(fact for _, fact in facts), tuple(fact for _, fact in known), text, tuple(reading.unread))


def _facts(value: Any, where: str, reading: _Reading) -> list[tuple[str, BroughtFact]]:
    """Every fact of a list with its place."""
    if not isinstance(value, list):
        reading.bad(where, f"is {_shown(value)}, not a list", "write a list of facts")
        return []
    return [(f"{where}[{i}]", fact) for i, one in enumerate(value) if (fact := _fact(one, f"{where}[{i}]", where == "facts", reading))]


def _fact(value: Any, where: str, told: bool, reading: _Reading) -> BroughtFact | None:
    """One fact; None when its subject, relation or value is missing. Facts that are ``told`` need statements."""
    if not isinstance(value, dict):
        reading.bad(
            where, f"is {_shown(value)}, not an object", 'write {"subject": ..., "relation": ..., "value": ..., "statements": [...]}'
        )
        return None
    reading.keys(value, where, _FACT)
    parts = {}
    for name in ("subject", "relation", "value"):
        if name not in value:
            reading.bad(f"{where}.{name}", "is missing", "add it")
        parts[name] = reading.text(value[name], f"{where}.{name}") if name in value else ""
    if parts["subject"].lower() == USER:
        parts["subject"] = USER
    fact = Fact(**parts)
    statements = reading.texts(value["statements"], f"{where}.statements") if "statements" in value else ()
    if told and not value.get("statements"):
        reading.bad(f"{where}.statements", "is missing or empty", "add at least one sentence in which a user says the fact")
    elif told and statements and fact.value and not any(contains(said, fact.value) for said in statements):
        reading.bad(
            f"{where}.value",
            f"is {_shown(fact.value)}, which no statement holds",
            "write the value exactly as a statement says it, or add a statement that says it",
        )
    questions = value.get("questions", {})
    if not isinstance(questions, dict):
        reading.bad(
            f"{where}.questions", f"is {_shown(questions)}, not an object", 'write {"train": [...], "test": [...], "reverse": [...]}'
        )
        questions = {}
    reading.keys(questions, f"{where}.questions", _QUESTIONS)
    train = reading.texts(questions.get("train", []), f"{where}.questions.train")
    test = reading.texts(questions.get("test", []), f"{where}.questions.test")
    reverse = _reverse(questions.get("reverse", []), f"{where}.questions.reverse", fact, reading)
    return BroughtFact(fact, statements, train, test, reverse) if all(parts.values()) else None


def _reverse(value: Any, where: str, fact: Fact, reading: _Reading) -> tuple[str, ...]:
    """Questions whose answer is the subject."""
    if not isinstance(value, list):
        reading.bad(where, f"is {_shown(value)}, not a list", 'write a list of {"question": ..., "answer": ...}')
        return ()
    asked = []
    for i, one in enumerate(value):
        at = f"{where}[{i}]"
        if not isinstance(one, dict) or "question" not in one or "answer" not in one:
            reading.bad(at, f"is {_shown(one)}, without a question and an answer", 'write {"question": ..., "answer": ...}')
            continue
        question, answer = reading.text(one["question"], f"{at}.question"), reading.text(one["answer"], f"{at}.answer")
        if answer and fact.subject and answer.lower() not in _names(fact.subject):
            reading.bad(f"{at}.answer", f"is {_shown(answer)}, not the subject {_shown(fact.subject)}", "ask for the subject of this fact")
        elif question:
            asked.append(question)
    return tuple(asked)


def _names(subject: str) -> set[str]:
    """What a subject may be called in an answer."""
    kin = subject.removeprefix(KIN_PREFIX)
    own = {"you", "i", "me"} if subject == USER else {f"your {kin}".lower(), f"my {kin}".lower()} if kin != subject else set()
    return {subject.lower(), kin.lower()} | own


def _contradictions(facts: Sequence[tuple[str, BroughtFact]], known: Sequence[tuple[str, BroughtFact]], reading: _Reading) -> None:
    """One subject has one value of a relation, among what is told and what is known together."""
    first: dict[tuple[str, str], tuple[str, str]] = {}
    for where, brought in (*facts, *known):
        fact = brought.fact
        place, value = first.setdefault((fact.subject.lower(), fact.relation.lower()), (where, fact.value))
        if place == where:
            continue
        if value.lower() != fact.value.lower():
            what = f"is {_shown(fact.value)}, but {place} says {_shown(value)} of the same subject and relation"
            reading.bad(f"{where}.value", what, f"keep one value of the {fact.relation} of {fact.subject}")
        else:
            reading.bad(where, f"says the same as {place}", "put all statements and questions of a fact into one entry")


def _asked_twice(facts: Sequence[tuple[str, BroughtFact]], known: Sequence[tuple[str, BroughtFact]], reading: _Reading) -> None:
    """A tested question is never trained, and a question has one answer."""
    trained = {_plain(q): where for where, brought in facts for q in brought.train}
    answers: dict[str, tuple[str, str]] = {}
    for where, brought in (*facts, *known):
        fact = brought.fact
        for kind, questions, answer in (("test", brought.test, fact.value), ("reverse", brought.reverse, fact.subject)):
            for i, question in enumerate(questions):
                at = f"{where}.questions.{kind}[{i}]"
                if _plain(question) in trained:
                    what = f"is {_shown(question)}, which {trained[_plain(question)]}.questions.train holds too"
                    reading.bad(at, what, "test in words that are not trained")
                place, other = answers.setdefault(_plain(question), (at, answer))
                if other.lower() != answer.lower():
                    what = f"is {_shown(question)}, which {place} asks too with another answer ({_shown(other)})"
                    reading.bad(at, what, "name in the question whom it is about; leave out a reverse question whose value has two owners")


def _plain(question: str) -> str:
    return " ".join(question.lower().split())


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else text[:77] + "..."
