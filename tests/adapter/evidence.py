"""Rows of evidence for the gate, and how to change a result in one place."""

from __future__ import annotations

from typing import Any

from sleepd.adapter.gate import GateLimits
from sleepd.records import GateCheck, GateReport

LIMITS = GateLimits()
Result = dict[str, Any]


def failed(report: GateReport) -> dict[str, GateCheck]:
    return {check.name: check for check in report.checks if not check.ok}


def parent_of(document: Any, path: str | tuple[Any, ...]) -> tuple[Any, Any]:
    """The container of the value at ``path``, and its key there."""
    *parents, last = path.split(".") if isinstance(path, str) else path
    for key in parents:
        document = document[int(key) if isinstance(document, list) else key]
    return document, int(last) if isinstance(document, list) else last


def put(document: Any, path: str | tuple[Any, ...], value: object) -> None:
    parent, key = parent_of(document, path)
    parent[key] = value


def new_cards(*scores: int, base: int = 0) -> list[dict[str, object]]:
    return [
        {"card_id": f"n{i}", "base": [k < base for k in range(4)], "candidate": [k < score for k in range(4)]}
        for i, score in enumerate(scores)
    ]


def old_facts(total: int, lost: int, gained: int, reference: str) -> list[dict[str, object]]:
    """``lost`` regressions and ``gained`` gains against one reference; the other agrees with the candidate."""
    rows = []
    for i in range(total):
        now = not i < lost
        before = not now if i < lost + gained else now
        rows.append({"card_id": f"o{i}", "best": now, "base": now, "candidate": now, reference: before})
    return rows


def general(total: int, lost: int, gained: int) -> list[dict[str, object]]:
    """Items of which the base knows all but the gained ones."""
    return [{"item": f"g{i}", "base": i >= gained, "candidate": i < gained or i >= gained + lost} for i in range(total)]


def neighbours(*kinds: tuple[int, bool, bool, bool]) -> list[dict[str, object]]:
    """Rows (how many, certain, same, leaked)."""
    rows = [row for count, *row in kinds for _ in range(count)]
    return [{"card_id": "c", "question": f"q{i}", "certain": c, "same": s, "leaked": x} for i, (c, s, x) in enumerate(rows)]
