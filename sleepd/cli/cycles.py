"""``sleepd cycles``: the history, newest first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from sleepd.cli import history, output
from sleepd.cli.options import json_option, target_options
from sleepd.cli.target import Target


@click.command()
@click.option("-n", "--limit", type=click.IntRange(min=1), default=20, show_default=True, help="How many to show.")
@target_options
@json_option
@click.pass_obj
def command(target: Target, limit: int) -> None:
    """The last cycles and how they ended, newest first."""
    document = history.ask(target, "cycles", {"limit": limit})
    if target.json:
        output.print_json(document)
    elif document["cycles"]:
        header = ["cycle", "kind", "started", "experiences", "new facts", "verdict", "tag"]
        output.table(header, [_row(cycle) for cycle in document["cycles"]], right=frozenset({3}))
    else:
        click.echo("no cycle yet")


def _row(cycle: Mapping[str, Any]) -> list[str]:
    figures = cycle.get("figures") or {}
    learned = f"{figures['new_recalled_after']} of {figures['new_cards']}" if figures.get("new_cards") else "-"
    count = cycle.get("num_experiences")
    return [
        str(cycle["id"]),
        str(cycle["kind"]),
        output.local(cycle["started_at"]),
        "-" if count is None else f"{count:,}",
        learned,
        output.verdict(cycle["verdict"]),
        str(cycle.get("tag") or ""),
    ]
