"""How a verb prints: one JSON document, or plain aligned text with few colours. Decides nothing and asks nobody."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import click

COLOURS = {"committed": "green", "rejected": "red", "rolled_back": "red", "abandoned": "red", "stopped": "yellow"}


def print_json(document: Mapping[str, Any] | Sequence[Any]) -> None:
    """One document: one line for a program, indented for a person."""
    click.echo(json.dumps(document, ensure_ascii=False, indent=2 if sys.stdout.isatty() else None))


def pairs(rows: Iterable[tuple[str, str]]) -> None:
    """Labels and values in two columns; a value of several lines stays in its column."""
    listed = list(rows)
    width = max((len(label) for label, _ in listed), default=0)
    for label, value in listed:
        first, *more = value.splitlines() or [""]
        click.echo(f"{click.style(label.ljust(width), dim=True)}  {first}".rstrip())
        for line in more:
            click.echo(f"{' ' * width}  {line}")


def table(header: Sequence[str], rows: Iterable[Sequence[str]], right: frozenset[int] = frozenset()) -> None:
    """Aligned columns; those numbered in ``right`` end at the right. Colours in a cell do not count as width."""
    listed = [list(row) for row in rows]
    widths = [max(len(click.unstyle(row[column])) for row in [list(header), *listed]) for column in range(len(header))]
    for index, row in enumerate([list(header), *listed]):
        cells = [
            " " * (width - len(click.unstyle(cell))) + cell if column in right else cell + " " * (width - len(click.unstyle(cell)))
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        line = "  ".join(cells).rstrip()
        click.echo(click.style(line, dim=True) if index == 0 else line)


def verdict(word: str | None) -> str:
    """A cycle's verdict in its colour; an unfinished cycle has none yet."""
    return click.style(word.replace("_", " "), fg=COLOURS.get(word)) if word else "running"


def yes_no(ok: bool) -> str:
    return click.style("ok", fg="green") if ok else click.style("no", fg="red")


def local(stamp: str | None) -> str:
    """An ISO 8601 time in the reader's own time zone, to the minute."""
    if not stamp:
        return "-"
    try:
        moment = datetime.fromisoformat(stamp)
    except ValueError:
        return stamp
    return moment.astimezone().strftime("%Y-%m-%d %H:%M")


def share(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.0f} %"


def plural(count: int, singular: str, more: str = "") -> str:
    return f"{count:,} {singular if count == 1 else more or singular + 's'}"
