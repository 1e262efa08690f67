"""How a receipt of forgetting is told: who asked, when it was out of the weights, how that was tried, where it still is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from sleepd.cli import output

_SETTLED = {
    "never trained": "it was never in the weights",
    "not served": "no adapter in service held it; older ones that did are gone",
    "base": "nothing else was learned: the base model alone serves since",
}


def told(receipt: Mapping[str, Any]) -> None:
    """One receipt as labels and values."""
    click.echo(click.style(f"request {receipt['forget']}", bold=True))
    output.pairs(_rows(receipt))


def _rows(receipt: Mapping[str, Any]) -> list[tuple[str, str]]:
    rows = [
        ("asked", f"{output.local(receipt['asked_at'])} by {receipt['asked_by']}"),
        ("what", f"{output.plural(receipt['facts'], 'fact')} and {output.plural(receipt['exchanges'], 'exchange')}"),
        ("weights", _weights(receipt)),
    ]
    if receipt["tries"]:
        base = f" (the bare base model: {receipt['base_extracted']:,})" if receipt["base_extracted"] else ""
        rows.append(("tried", f"{receipt['tries']:,} times, came out {receipt['extracted']:,} times{base}"))
    rows += [("sha256", "\n".join(_hash(card) for card in receipt["cards"]))] if receipt["cards"] else []
    rows += [("removed", ", ".join(receipt["removed"]))] if receipt["removed"] else []
    rows += [("still said by", "\n".join(receipt["left_in"]))] if receipt["left_in"] else []
    return rows


def _weights(receipt: Mapping[str, Any]) -> str:
    by = receipt["settled_by"]
    if by is None:
        return "still in the weights, until the next deep cycle"
    return f"{_SETTLED.get(by) or f'out of them since the deep cycle {by}'}, {output.local(receipt['settled_at'])}"


def _hash(card: Mapping[str, Any]) -> str:
    tried = "" if card["tries"] is None else f"  {card['extracted']} of {card['tries']} tries"
    return f"{card['sha256'][:32]}{tried}"
