"""Draws many nights as SVG: the recall matrix and the curves. Plain text in, plain text out; works offline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from xml.sax.saxutils import escape

CELL = 34
INK, MUTED = "#1c2733", "#6b7785"


def _text(x: float, y: float, value: str, *, size: int = 12, anchor: str = "middle", color: str = INK) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" fill="{color}">{escape(value)}</text>'


def _shade(value: float) -> str:
    """White for nothing recalled, deep green for everything."""
    low, high = (247, 249, 250), (30, 120, 84)
    return "#" + "".join(f"{round(a + (b - a) * max(0.0, min(1.0, value))):02x}" for a, b in zip(low, high, strict=True))


def matrix_svg(rows: Sequence[Sequence[float]], left: float, top: float) -> str:
    """R[i][j] as squares: down the nights, across the days whose facts are asked for."""
    parts = [_text(left + CELL * len(rows) / 2, top - 24, "recall of each day's facts, after each night", size=13)]
    for i, row in enumerate(rows):
        parts.append(_text(left - 8, top + CELL * (i + 0.65), f"night {i + 1}", anchor="end", color=MUTED))
        parts.append(_text(left + CELL * (i + 0.5), top - 6, str(i + 1), color=MUTED))
        for j, value in enumerate(row):
            x, y = left + CELL * j, top + CELL * i
            parts.append(f'<rect x="{x}" y="{y}" width="{CELL - 2}" height="{CELL - 2}" rx="3" fill="{_shade(value)}"/>')
            parts.append(_text(x + CELL / 2 - 1, y + CELL / 2 + 3, f"{value:.2f}", size=10, color="#fff" if value > 0.6 else INK))
    return "".join(parts)


def curves_svg(series: Mapping[str, Sequence[float]], left: float, top: float, width: float, height: float) -> str:
    """Shares in 0..1 over nights, one line a name."""
    colors = ("#1e7854", "#2f5fa8", "#b4561f", "#7a4fa3")
    parts = [f'<rect x="{left}" y="{top}" width="{width}" height="{height}" fill="none" stroke="#d5dbe1"/>']
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = top + height * (1 - tick)
        parts.append(f'<line x1="{left}" x2="{left + width}" y1="{y:.1f}" y2="{y:.1f}" stroke="#eef1f4"/>')
        parts.append(_text(left - 8, y + 4, f"{tick:.2f}", anchor="end", color=MUTED))
    for index, (name, values) in enumerate(series.items()):
        step = width / max(1, len(values) - 1)
        points = " ".join(f"{left + step * i:.1f},{top + height * (1 - v):.1f}" for i, v in enumerate(values))
        color = colors[index % len(colors)]
        parts.append(f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="2"/>')
        parts.append(_text(left + width + 10, top + 16 + 18 * index, name, anchor="start", color=color))
    return "".join(parts)


def nights_svg(figures: Mapping[str, Any]) -> str:
    """One seed's nights as one picture."""
    rows = figures["matrix"]
    side = CELL * len(rows)
    everything = [sum(row) / len(row) for row in rows]
    newest = [row[-1] for row in rows]
    known = figures["known_curve"][1:]
    curves = curves_svg(
        {"everything so far": everything, "the newest day": newest, "known beforehand": known}, 150 + side, 60, 320, max(160, side)
    )
    height = max(160, side) + 110
    body = matrix_svg(rows, 80, 60) + curves
    title = _text(20, 24, f"seed {figures['seed']}: {len(rows)} nights", size=15, anchor="start")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{side + 640}" height="{height}" font-family="system-ui, sans-serif">'
        f'<rect width="100%" height="100%" fill="#fff"/>{title}{body}</svg>\n'
    )
