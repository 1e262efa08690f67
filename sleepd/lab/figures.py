"""The figures of many nights: matrix, averages, intervals, and what `--json` prints."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import Any

from sleepd.lab.nights import Run


def matrix(run: Run, facts_a_day: int) -> list[list[float]]:
    """R[i][j]: recall of night j's facts after night i, both from 0; held-out wordings, direct and paraphrased."""
    return [
        [round(standing.recall(j * facts_a_day, (j + 1) * facts_a_day), 4) for j in range(i + 1)]
        for i, standing in enumerate(run.standings[1:])
    ]


def backward_transfer(rows: Sequence[Sequence[float]]) -> float:
    """Mean change of each night's facts between their own night and the last (Lopez-Paz and Ranzato 2017)."""
    last = rows[-1]
    earlier = [last[j] - rows[j][j] for j in range(len(rows) - 1)]
    return fmean(earlier) if earlier else 0.0


def _next_morning(run: Run, facts_a_day: int, kind: str) -> float:
    """Mean over nights of the newest facts' recall on the morning after."""
    shares = []
    for i, standing in enumerate(run.standings[1:]):
        values = getattr(standing, kind)[i * facts_a_day : (i + 1) * facts_a_day]
        shares.append(fmean(values) if values else 0.0)
    return fmean(shares)


def seed_figures(run: Run, facts_a_day: int) -> dict[str, Any]:
    """All figures of one seed."""
    rows = matrix(run, facts_a_day)
    first, last = run.standings[0], run.standings[-1]
    reverse = [fmean(s.reverse) for s in run.standings[1:] if s.reverse]
    return {
        "direct": round(_next_morning(run, facts_a_day, "direct"), 4),
        "paraphrase": round(_next_morning(run, facts_a_day, "paraphrase"), 4),
        "reverse": round(fmean(reverse), 4) if reverse else None,
        "all_after": round(last.recall(0, len(rows) * facts_a_day), 4),
        "bwt": round(backward_transfer(rows), 4),
        "known_before": round(first.known, 4),
        "known_after": round(last.known, 4),
        "text_loss_before": round(first.text_loss, 5),
        "text_loss_after": round(last.text_loss, 5),
        "leak": round(last.leak, 4),
        "verdicts": ["accepted" if n.report.accepted else "rejected" for n in run.nights],
        "reasons": [list(n.report.reasons) for n in run.nights],
        "night_seconds": [round(n.seconds, 1) for n in run.nights],
        "peak_mb": run.peak_mb,
        "matrix": rows,
        "known_curve": [round(s.known, 4) for s in run.standings],
        "seed": run.seed,
    }


def over_seeds(each: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Means over seeds, the lists of all seeds joined, with ``per_seed`` beside them."""
    whole: dict[str, Any] = {}
    for key, value in each[0].items():
        values = [one[key] for one in each if one[key] is not None]
        if key in ("seed", "matrix", "reasons", "known_curve"):
            continue
        if key == "peak_mb":
            whole[key] = max(values)
        elif isinstance(value, list):
            whole[key] = [item for one in values for item in one]
        else:
            whole[key] = round(fmean(values), 5) if values else None
    return {**whole, "per_seed": list(each)}
