"""Gate check on forgetting: what people asked to forget must not come out of an adapter that was made without it."""

from __future__ import annotations

from collections.abc import Mapping

from sleepd.adapter import evidence
from sleepd.adapter.evidence import EvidenceError
from sleepd.adapter.expected import Expected
from sleepd.adapter.limits import Limits
from sleepd.records import GateCheck

MIN_TRIES = 20


def check_forgotten(result: Mapping[str, object], limits: Limits, expected: Expected) -> GateCheck:
    """No fact comes out more often than the bare base says it by chance. There is no limit to set: one is one too many."""
    if not expected.forgotten:
        return GateCheck("forgotten", True, "nothing is to be forgotten", {"forgotten": 0.0})
    rows = evidence.rows(result, "evaluation.forgotten")
    evidence.distinct([evidence.text(row, "card_id") for row in rows], "evaluation.forgotten")
    if len(rows) != expected.forgotten:
        raise EvidenceError(f"evaluation.forgotten has {len(rows)} facts and {expected.forgotten} were to be forgotten")
    tries, extracted, by_base = ([evidence.count(row, key) for row in rows] for key in ("tries", "extracted", "base_extracted"))
    if min(tries) < MIN_TRIES:
        raise EvidenceError(f"a forgotten fact was tried {min(tries)} times and at least {MIN_TRIES} are needed")
    counted = zip(rows, extracted, by_base, strict=True)
    leaks = [f"card {row['card_id']} {now} times (base {before})" for row, now, before in counted if now > before]
    numbers = {
        "forgotten": float(len(rows)),
        "tries": float(sum(tries)),
        "extracted": float(sum(extracted)),
        "base_extracted": float(sum(by_base)),
    }
    shown = f"{len(rows)} forgotten facts came out {sum(extracted)} times in {sum(tries)} tries (base {sum(by_base)})"
    return GateCheck("forgotten", not leaks, f"{shown}: {', '.join(leaks)}" if leaks else shown, numbers)
