"""What the reader and the screen make of a buffer or chat export, without a ledger. The document is API."""

from __future__ import annotations

import statistics
from collections import Counter
from dataclasses import replace
from pathlib import Path

from sleepd.experience.reader import MAX_BYTES, read_export
from sleepd.experience.recent import Recent
from sleepd.experience.screen import Screen, ScreenLimits
from sleepd.records import ScreenVerdict


def inspect_buffer(path: Path, limits: ScreenLimits, max_bytes: int = MAX_BYTES) -> dict[str, object]:
    """The document of ``sleepd inspect --json``. Raises what the reader raises."""
    view = read_export(path, max_bytes)
    screen, recent = Screen(limits), Recent()
    verdicts: list[ScreenVerdict] = []
    seen: set[str] = set()
    for experience in view.experiences:
        verdict = screen.judge(experience, recent)
        if experience.id in seen:
            verdict = replace(verdict, reasons=(f"duplicate: the id {experience.id} occurs before", *verdict.reasons))
        else:
            recent.add(experience)
        seen.add(experience.id)
        verdicts.append(verdict)
    totals = [experience.salience.total for experience in view.experiences]
    rejected = [verdict for verdict in verdicts if not verdict.example]
    return {
        "path": str(path),
        "form": view.form,
        "entries": len(view.experiences) + len(view.errors),
        "usable": sum(verdict.usable for verdict in verdicts),
        "examples": sum(verdict.example for verdict in verdicts),
        "with_cards": sum(bool(verdict.cards) for verdict in verdicts),
        "cards": len({card.id for verdict in verdicts for card in verdict.cards}),
        "rejected": dict(
            Counter(name for verdict in rejected for name in sorted({code(reason) for reason in verdict.reasons})).most_common()
        ),
        "salience": {
            "min": round(min(totals), 4) if totals else None,
            "median": round(statistics.median(totals), 4) if totals else None,
            "max": round(max(totals), 4) if totals else None,
        },
        "entries_rejected": [{"id": verdict.experience_id, "reasons": list(verdict.reasons)} for verdict in rejected],
        "errors": [{"entry": error.entry, "reason": error.reason} for error in view.errors],
    }


def code(reason: str) -> str:
    """The code of a reason: what stands before its colon."""
    return reason.split(":", 1)[0]
