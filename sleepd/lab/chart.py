"""Draws many nights as SVG: the recall matrix and the curves. Numbers in, plain text out; works offline."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean
from typing import Any
from xml.sax.saxutils import escape

CELL = 42
INK, MUTED, LINE, GRID = "#1c2733", "#5b6773", "#d5dbe1", "#eef1f4"
COLORS = ("#1e7854", "#2f5fa8", "#b4561f", "#7a4fa3", "#8a6d00", "#a02c5a", "#3f7f8c", "#6b7785", "#4d4d4d")
WIDTH, HEIGHT = 360, 210  # of one panel's plot, in pixels
_LEFT, _RIGHT, _TOP, _BOTTOM = 74, 170, 44, 52


@dataclass(frozen=True)
class Series:
    """One line of a panel: ``each`` holds the values of every seed, the first at x = ``start``."""

    name: str
    each: tuple[tuple[float, ...], ...]
    start: int

    def mean(self) -> list[float]:
        return [fmean(values) for values in zip(*self.each, strict=True)]


@dataclass(frozen=True)
class Panel:
    """``unit`` is written at the vertical axis, which spans ``low`` to ``high``; ``form`` is how its numbers are written."""

    title: str
    unit: str
    series: tuple[Series, ...]
    low: float
    high: float
    form: str = "%.2f"


def document(width: float, height: float, title: str, body: str) -> str:
    """A whole SVG file with its title, for the eye and for a screen reader."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}"'
        f' role="img" font-family="system-ui, -apple-system, Segoe UI, sans-serif"><title>{escape(title)}</title>'
        f'<rect width="100%" height="100%" fill="#fff"/>{_text(20, 26, title, size=16, anchor="start", weight=600)}{body}</svg>\n'
    )


def _text(
    x: float, y: float, value: str, *, size: int = 12, anchor: str = "middle", color: str = INK, weight: int = 400, turn: bool = False
) -> str:
    turned = f' transform="rotate(-90 {x:.1f} {y:.1f})"' if turn else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" font-weight="{weight}" text-anchor="{anchor}" fill="{color}"{turned}>'
        f"{escape(value)}</text>"
    )


def _shade(value: float) -> str:
    """White for nothing recalled, deep green for everything."""
    low, high = (247, 249, 250), (30, 120, 84)
    return "#" + "".join(f"{round(a + (b - a) * max(0.0, min(1.0, value))):02x}" for a, b in zip(low, high, strict=True))


def matrix_svg(rows: Sequence[Sequence[float]], title: str) -> str:
    """R[i][j] as labelled squares: down the nights, across the days whose facts are asked for."""
    left, top = 100, 104
    side = CELL * len(rows)
    parts = [
        _text(20, 48, "share of questions answered right, in wordings that were never trained", anchor="start", color=MUTED),
        _text(left + side / 2, top - 28, "facts told on day"),
        _text(24, top + side / 2, "asked after night", turn=True),
    ]
    for i, row in enumerate(rows):
        parts.append(_text(left - 10, top + CELL * (i + 0.5) + 4, str(i + 1), anchor="end", color=MUTED))
        parts.append(_text(left + CELL * (i + 0.5) - 1, top - 8, str(i + 1), color=MUTED))
        for j, value in enumerate(row):
            x, y = left + CELL * j, top + CELL * i
            label = "1" if value == 1 else f"{value:.2f}".removeprefix("0")
            parts.append(
                f'<rect x="{x}" y="{y}" width="{CELL - 2}" height="{CELL - 2}" rx="4" fill="{_shade(value)}" stroke="{LINE}">'
                f"<title>facts of day {j + 1} after night {i + 1}: {value:.4f}</title></rect>"
            )
            parts.append(_text(x + CELL / 2 - 1, y + CELL / 2 + 3, label, size=12, color="#fff" if value > 0.55 else INK))
    return document(max(left + side + 40, 560), top + side + 30, f"Recall matrix: {title}", "".join(parts))


def curves_svg(each: Sequence[Mapping[str, Any]], title: str) -> str:
    """What the nights did, as four panels. ``each``: the ``curves`` of every seed; bands span the seeds."""
    shares = [name for name in ("everything told so far", "the newest day", "known beforehand") if each[0][name][0] is not None]
    recall = tuple(Series(name, tuple(tuple(one[name]) for one in each), 1) for name in shares)
    text = tuple(tuple(100 * (v / one["text_loss"][0] - 1) for v in one["text_loss"]) for one in each)
    kl = tuple(tuple(one["kl"]) for one in each)
    leak = tuple(tuple(100 * v for v in one["leak"]) for one in each)
    panels = (
        Panel("Recall, questions never trained", "share answered right", recall, 0.0, 1.0),
        ranged("Loss on unseen text", "change against the base, %", (Series("unseen text", text, 0),), 1.0),
        ranged("Drift on unrelated prompts", "KL, nat per token", (Series("unrelated prompts", kl, 0),), 0.02),
        ranged("Leaks to strangers", "share of answers, %", (Series("strangers", leak, 0),), 1.0),
    )
    return panels_svg(panels, f"Nights: {title}", "after night")


def ranged(title: str, unit: str, series: tuple[Series, ...], least: float) -> Panel:
    """A panel whose axis holds 0, ``least`` and every value."""
    values = [v for one in series for seed in one.each for v in seed]
    return Panel(title, unit, series, _round_up(min(0.0, *values), down=True), _round_up(max(least, *values)), "%.3g")


def _round_up(value: float, down: bool = False) -> float:
    """The next round number away from 0."""
    if value == 0:
        return 0.0
    step = 10.0 ** math.floor(math.log10(abs(value))) / 2
    return (math.floor if down else math.ceil)(round(value / step, 6)) * step


def panels_svg(panels: Sequence[Panel], title: str, across: str, columns: int = 2) -> str:
    """Panels in rows of ``columns``, with one x axis label each."""
    wide, high = _LEFT + WIDTH + _RIGHT, _TOP + HEIGHT + _BOTTOM
    body = "".join(_panel(p, wide * (i % columns), 34 + high * (i // columns), across) for i, p in enumerate(panels))
    return document(wide * min(columns, len(panels)), 34 + high * math.ceil(len(panels) / columns), title, body)


def _panel(panel: Panel, x0: float, y0: float, across: str) -> str:
    left, top = x0 + _LEFT, y0 + _TOP
    first = min(s.start for s in panel.series)
    last = max(s.start + len(s.each[0]) - 1 for s in panel.series)

    def x(n: float) -> float:
        return left + WIDTH * ((n - first) / (last - first) if last > first else 0.5)

    def y(v: float) -> float:
        return top + HEIGHT * (1 - (v - panel.low) / (panel.high - panel.low))

    parts = [_text(left, top - 14, panel.title, size=13, anchor="start", weight=600)]
    for tick in (panel.low + (panel.high - panel.low) * n / 4 for n in range(5)):
        parts.append(f'<line x1="{left}" x2="{left + WIDTH}" y1="{y(tick):.1f}" y2="{y(tick):.1f}" stroke="{GRID}"/>')
        parts.append(_text(left - 8, y(tick) + 4, panel.form % tick, anchor="end", color=MUTED, size=11))
    step = max(1, math.ceil((last - first) / 10))
    parts += [_text(x(n), top + HEIGHT + 18, str(n), color=MUTED, size=11) for n in range(first, last + 1, step)]
    parts.append(f'<line x1="{left}" x2="{left + WIDTH}" y1="{top + HEIGHT}" y2="{top + HEIGHT}" stroke="{LINE}"/>')
    parts.append(_text(left + WIDTH / 2, top + HEIGHT + 38, across, color=MUTED))
    parts.append(_text(x0 + 20, top + HEIGHT / 2, panel.unit, color=MUTED, turn=True))
    ends = _spread([y(s.mean()[-1]) for s in panel.series], top + HEIGHT)
    for index, (series, label) in enumerate(zip(panel.series, ends, strict=True)):
        color, mean = COLORS[index % len(COLORS)], series.mean()
        at = [x(series.start + n) for n in range(len(mean))]
        if len(series.each) > 1:
            above = [f"{a:.1f},{y(max(v)):.1f}" for a, v in zip(at, zip(*series.each, strict=True), strict=True)]
            below = [f"{a:.1f},{y(min(v)):.1f}" for a, v in zip(at, zip(*series.each, strict=True), strict=True)]
            parts.append(f'<polygon points="{" ".join(above + below[::-1])}" fill="{color}" fill-opacity=".14"/>')
        points = " ".join(f"{a:.1f},{y(v):.1f}" for a, v in zip(at, mean, strict=True))
        parts.append(f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="2" stroke-linejoin="round"/>')
        parts += [f'<circle cx="{a:.1f}" cy="{y(v):.1f}" r="2.4" fill="{color}"/>' for a, v in zip(at, mean, strict=True)]
        parts.append(_text(left + WIDTH + 10, label + 4, f"{panel.form % mean[-1]}  {series.name}", anchor="start", color=color, size=12))
    return "".join(parts)


def _spread(positions: Sequence[float], lowest: float, least: float = 15.0) -> list[float]:
    """The same positions moved apart, so that labels beside them do not overlap, and none below ``lowest``."""
    moved = list(positions)
    order = sorted(range(len(moved)), key=lambda i: moved[i])
    for before, after in pairwise(order):
        moved[after] = max(moved[after], moved[before] + least)
    for place, index in enumerate(reversed(order)):
        moved[index] = min(moved[index], lowest - least * place)
    return moved
