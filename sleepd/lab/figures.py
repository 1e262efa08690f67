"""The figures of many nights: matrix, averages, and what `--json` prints. Pure arithmetic on standings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import fmean
from typing import Any

from sleepd.lab.diary import Night
from sleepd.lab.measure import Standing
from sleepd.lab.story import Story

LISTS = ("verdicts", "night_seconds")  # joined over seeds
APART = ("seed", "reasons", "kinds", "curves", "deep_night")  # told of each seed alone


def matrix(standings: Sequence[Standing], spans: Sequence[tuple[int, int]]) -> list[list[float]]:
    """R[i][j]: recall of day j's facts after night i, both from 0; held-out wordings, direct and paraphrased."""
    return [[round(standing.recall(*spans[j]), 4) for j in range(i + 1)] for i, standing in enumerate(standings[1:])]


def backward_transfer(rows: Sequence[Sequence[float]]) -> float:
    """Mean change of each night's facts between their own night and the last (Lopez-Paz and Ranzato, arXiv 1706.08840)."""
    last = rows[-1]
    earlier = [last[j] - rows[j][j] for j in range(len(rows) - 1)]
    return fmean(earlier) if earlier else 0.0


def forgetting(rows: Sequence[Sequence[float]]) -> float:
    """Mean drop of each night's facts from their best so far to the last night (Chaudhry et al., arXiv 1801.10112)."""
    last = rows[-1]
    drops = [max(row[j] for row in rows[j:-1]) - last[j] for j in range(len(rows) - 1)]
    return fmean(drops) if drops else 0.0


def _share(values: Iterable[bool]) -> float | None:
    found = list(values)
    return round(fmean(found), 4) if found else None


def next_morning(standings: Sequence[Standing], spans: Sequence[tuple[int, int]], kind: str) -> float | None:
    """The share of questions about the newest facts that are answered right on the morning after; None without questions."""
    asked: list[bool] = []
    for standing, (start, end) in zip(standings[1:], spans, strict=True):
        for answered in getattr(standing, kind)[start:end]:
            asked += answered if isinstance(answered, tuple) else (answered,)
    return _share(asked)


def corrections(standings: Sequence[Standing], story: Story) -> dict[str, float | None]:
    """Of the facts that were corrected: new and old value answered on the morning after, and after the last night."""
    if not story.corrections:
        return {}
    morning = [(standings[c.day], c.fact) for c in story.corrections]
    end = [(standings[-1], c.fact) for c in story.corrections]

    def new(asked: Sequence[tuple[Standing, int]]) -> float:
        return round(fmean(standing.recall(fact, fact + 1) for standing, fact in asked), 4)

    return {
        "corrected_new": new(morning),
        "corrected_old": _share(standing.stale[fact] for standing, fact in morning),
        "corrected_new_end": new(end),
        "corrected_old_end": _share(standing.stale[fact] for standing, fact in end),
    }


def seed_figures(story: Story, nights: Sequence[Night], standings: Sequence[Standing], extra: dict[str, Any]) -> dict[str, Any]:
    """All figures of one seed. ``extra``: what was measured after the last night."""
    spans = story.spans()
    rows = matrix(standings, spans)
    first, last = standings[0], standings[-1]
    return {
        "direct": next_morning(standings, spans, "direct"),
        "paraphrase": next_morning(standings, spans, "paraphrase"),
        "reverse": next_morning(standings, spans, "reverse"),
        "all_after": round(last.recall(0, story.ends[-1]), 4),
        "average_accuracy": round(fmean(rows[-1]), 4),
        "bwt": round(backward_transfer(rows), 4),
        "forgetting": round(forgetting(rows), 4),
        "known_before": _rounded(first.known),
        "known_after": _rounded(last.known),
        "text_loss_before": round(first.text_loss, 5),
        "text_loss_after": round(last.text_loss, 5),
        "text_loss_rise": round(last.text_loss / first.text_loss - 1, 5),
        "kl": round(last.kl, 5),
        "leak": round(last.leak, 4),
        "neighbours_same": round(last.neighbours_same, 4),
        **corrections(standings, story),
        **extra,
        "verdicts": [n.verdict for n in nights],
        "reasons": [list(n.reasons) for n in nights],
        "kinds": [n.kind for n in nights],
        "night_seconds": [round(n.seconds, 1) for n in nights],
        "night_tokens": round(fmean(n.tokens for n in nights)),
        "peak_mb": round(max(n.peak_mb for n in nights), 1),
        "matrix": rows,
        "curves": {
            "everything told so far": [round(s.recall(0, end), 4) for s, end in zip(standings[1:], story.ends[1:], strict=True)],
            "the newest day": [row[-1] for row in rows],
            "known beforehand": [s.known for s in standings[1:]],
            "text_loss": [round(s.text_loss, 5) for s in standings],
            "kl": [round(s.kl, 5) for s in standings],
            "leak": [round(s.leak, 4) for s in standings],
            "night_peak_mb": [n.peak_mb for n in nights],
        },
        "seed": story.seed,
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def over_seeds(each: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Means over seeds, verdicts and seconds of all seeds joined, cards added up, the highest peak, with ``per_seed`` beside them."""
    whole: dict[str, Any] = {}
    for key in each[0]:
        values = [one[key] for one in each if one.get(key) is not None]
        if key in APART:
            continue
        if key == "peak_mb":
            whole[key] = max(values)
        elif key in LISTS:
            whole[key] = [item for one in values for item in one]
        elif key == "cards":
            whole[key] = {name: sum(one[name] for one in values) for name in values[0]}
        elif key == "matrix":
            whole[key] = mean_matrix(values)
        else:
            whole[key] = round(fmean(values), 5) if values else None
    return {**whole, "per_seed": list(each)}


def mean_matrix(matrices: Sequence[Sequence[Sequence[float]]]) -> list[list[float]]:
    """R averaged over seeds, cell by cell."""
    return [[round(fmean(m[i][j] for m in matrices), 4) for j in range(i + 1)] for i in range(len(matrices[0]))]
