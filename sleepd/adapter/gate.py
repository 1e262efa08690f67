"""Whether a candidate may be put into service. Pure: the child's measurements in, a verdict with its numbers out.

Owns the order of the checks and nothing of what they say. It fails closed: evidence that is missing, empty, of
the wrong type or not finite refuses the candidate with that reason, and ``judge`` does not raise for it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from sleepd.adapter.check_forgotten import check_forgotten
from sleepd.adapter.check_harm import check_collapse, check_text
from sleepd.adapter.check_integrity import check_integrity, check_trained
from sleepd.adapter.check_probes import check_general, check_identity, check_neighbours
from sleepd.adapter.check_recall import check_new_facts, check_old_facts, check_unrelated
from sleepd.adapter.evidence import EvidenceError
from sleepd.adapter.expected import Expected
from sleepd.adapter.limits import GateLimits, Limits
from sleepd.records import GateCheck, GateReport

__all__ = ["CHECKS", "Check", "Expected", "GateLimits", "Limits", "judge"]

Check = Callable[[Mapping[str, object], Limits, Expected], GateCheck]

# In the order in which a person wants to read them. A further check is a function and a line here.
CHECKS: tuple[tuple[str, Check], ...] = (
    ("trained", check_trained),
    ("integrity", check_integrity),
    ("new_facts", check_new_facts),
    ("old_facts", check_old_facts),
    ("forgotten", check_forgotten),
    ("unrelated", check_unrelated),
    ("text", check_text),
    ("general", check_general),
    ("neighbours", check_neighbours),
    ("collapse", check_collapse),
    ("identity", check_identity),
)


def judge(result: Mapping[str, object], limits: Limits, expected: Expected) -> GateReport:
    """Every check of one candidate. A night that trained nothing has nothing else to judge and reports only that."""
    report: list[GateCheck] = []
    for name, check in CHECKS:
        report.append(_closed(name, check, result, limits, expected))
        if name == "trained" and not report[0].ok:
            break
    return GateReport(tuple(report))


def _closed(name: str, check: Check, result: Mapping[str, object], limits: Limits, expected: Expected) -> GateCheck:
    try:
        verdict = check(result, limits, expected)
    except EvidenceError as error:
        return GateCheck(name, False, f"refused, because {error}")
    except ArithmeticError as error:  # measurements so large that their sum overflows
        return GateCheck(name, False, f"refused, because its numbers cannot be worked with ({error})")
    if not all(map(math.isfinite, verdict.numbers.values())):
        return GateCheck(name, False, "refused, because its numbers are not finite")
    return verdict
