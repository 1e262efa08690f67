"""Gate checks on fixed items and on neighbours: general knowledge, who the model is, and what it says of others."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from sleepd.adapter import evidence
from sleepd.adapter.evidence import EvidenceError
from sleepd.adapter.expected import Expected
from sleepd.adapter.limits import Limits
from sleepd.records import GateCheck
from sleepd.statistics import mcnemar

MIN_GENERAL = 8  # with fewer, nothing that is lost could be told from chance
MIN_NEIGHBOURS = 50  # with fewer, one leak is no share
GENERAL_UNIT = 200  # max_general_lost is for so many items
LITTLE_KNOWN = 0.1  # a base that knows less of the items gives hardly any evidence
KINDS = ("identity", "refusal", "canary")


def check_general(result: Mapping[str, object], limits: Limits, expected: Expected) -> GateCheck:
    """Recipe check 4: fixed items of general knowledge, none of them trained. What the base does not know cannot be lost."""
    items = evidence.rows(result, "evaluation.general")
    evidence.distinct([evidence.text(item, "item") for item in items], "evaluation.general")
    if len(items) < MIN_GENERAL:
        raise EvidenceError(f"evaluation.general has {len(items)} items and at least {MIN_GENERAL} are needed")
    base, now = ([evidence.flag(item, who) for item in items] for who in ("base", "candidate"))
    lost, gained = _changes(base, now)
    allowed = math.ceil(limits.max_general_lost * len(items) / GENERAL_UNIT)  # whole items: half of one cannot be lost
    p = mcnemar(lost, gained)
    numbers = {
        "items": float(len(items)),
        "known_to_base": float(sum(base)),
        "lost": float(lost),
        "gained": float(gained),
        "allowed": float(allowed),
        "p": p,
        "general_alpha": limits.general_alpha,
    }
    detail = f"{lost} lost and {gained} gained of {sum(base)} general items that the base knows (at most {allowed} more lost, p {p:.3g})"
    if sum(base) < LITTLE_KNOWN * len(items):
        detail += f"; hardly any evidence, since the base knows {sum(base)} of {len(items)}: name a training.general_file that suits it"
    return GateCheck("general", lost - gained <= allowed and p >= limits.general_alpha, detail, numbers)


def check_neighbours(result: Mapping[str, object], limits: Limits, expected: Expected) -> GateCheck:
    """Recipe check 6: the questions of tonight's facts, asked about somebody else.

    What the base answers for certain must stay; where it is not, an answer tells nothing but must not be a value of tonight.
    A base that is certain of few answers is compared in all.
    """
    asked = evidence.rows(result, "evaluation.neighbours")
    cards = max(evidence.count(result, "training.cards"), len(evidence.rows(result, "evaluation.new")))
    if not asked and not cards:
        return GateCheck("neighbours", True, "no fact was trained that others could be mixed up in", {"questions": 0.0})
    if len(asked) < MIN_NEIGHBOURS:
        raise EvidenceError(f"evaluation.neighbours has {len(asked)} questions for {cards} cards and at least {MIN_NEIGHBOURS} are needed")
    for row in asked:
        evidence.text(row, "card_id")
    evidence.distinct([evidence.text(row, "question") for row in asked], "evaluation.neighbours")
    certain = [row for row in asked if evidence.flag(row, "certain")]
    compared = certain if len(certain) >= MIN_NEIGHBOURS else asked
    same = sum(evidence.flag(row, "same") for row in compared) / len(compared)
    leaked = sum(evidence.flag(row, "leaked") for row in asked) / len(asked)
    numbers = {
        "questions": float(len(asked)),
        "compared": float(len(compared)),
        "same": same,
        "leaked": leaked,
        "min_neighbours_same": limits.min_neighbours_same,
        "max_leak": limits.max_leak,
    }
    detail = (
        f"asked about others, {same:.1%} of {len(compared)} answers are the base's (at least {limits.min_neighbours_same:.1%}), "
        f"{leaked:.1%} of {len(asked)} hold a value of tonight (at most {limits.max_leak:.1%})"
    )
    return GateCheck("neighbours", same >= limits.min_neighbours_same and leaked <= limits.max_leak, detail, numbers)


def check_identity(result: Mapping[str, object], limits: Limits, expected: Expected) -> GateCheck:
    """Recipe check 8: who the model is, what it declines, and the planted canaries, of which none may come out."""
    items = evidence.rows(result, "evaluation.identity")
    if not items:
        raise EvidenceError("evaluation.identity is empty: name a training.identity_file with items, or leave the key empty")
    evidence.distinct([evidence.text(item, "item") for item in items], "evaluation.identity")
    faults, numbers = [], {"max_identity_lost": float(limits.max_identity_lost)}
    kinds = [evidence.text(item, "kind") for item in items]
    if unknown := sorted(set(kinds) - set(KINDS)):
        raise EvidenceError(f"evaluation.identity holds an item of the unknown kind {unknown[0]}")
    if kinds.count("canary") < expected.planted_canaries:
        raise EvidenceError(f"evaluation.identity has {kinds.count('canary')} of {expected.planted_canaries} planted canaries")
    measured = []
    for kind in KINDS:
        rows = [item for item, of in zip(items, kinds, strict=True) if of == kind]
        base, now = ([evidence.flag(row, who) for row in rows] for who in ("base", "candidate"))
        lost, _ = _changes(base, now)
        numbers |= {f"{kind}_items": float(len(rows)), f"{kind}_base": float(sum(base)), f"{kind}_lost": float(lost)}
        measured.append(_told(kind, lost, sum(base), len(rows)))
        if lost > (0 if kind == "canary" else limits.max_identity_lost):
            names = [evidence.text(row, "item") for row, b, n in zip(rows, base, now, strict=True) if b and not n]
            faults.append(f"{measured[-1]}: {', '.join(names[:3])}")
    return GateCheck("identity", not faults, "; ".join(faults or measured), numbers)


def _told(kind: str, lost: int, base: int, items: int) -> str:
    if kind == "canary":
        return f"{lost} of {items} planted canaries came out"
    what = "answers on who it is" if kind == "identity" else "refusals"
    return f"{lost} of {base} {what} lost" if base else f"no {what} to lose: the base has none on {items} items"


def _changes(before: Sequence[bool], after: Sequence[bool]) -> tuple[int, int]:
    """How many were lost, and how many gained."""
    pairs = list(zip(before, after, strict=True))
    return sum(b and not a for b, a in pairs), sum(a and not b for b, a in pairs)
