"""``sleepd memories [QUERY]``: what is remembered, and whether it was still known when it was last asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from sleepd.cli import history, output
from sleepd.cli.options import json_option, target_options
from sleepd.cli.target import Target

STATUSES = ("new", "learning", "graduated", "fading", "stubborn", "superseded", "forgotten", "quarantined")
COLOURS = {"graduated": "green", "fading": "yellow", "stubborn": "red", "learning": "cyan"}


@click.command(short_help="What is remembered, with its last probe.")
@click.argument("query", metavar="[QUERY]", nargs=-1)
@click.option("--status", type=click.Choice(STATUSES), help="Only those with this status.")
@target_options
@json_option
@click.pass_obj
def command(target: Target, query: tuple[str, ...], status: str | None) -> None:
    """The facts that were told, each with its status and its last probe; with QUERY those that hold all its words."""
    asked = " ".join(query)
    document = history.ask_or_read(target, "memories", {"query": asked, "status": status}, lambda ledger, _: _read(ledger, asked, status))
    rows = document["memories"]
    if target.json:
        output.print_json(document)
    elif rows:
        output.table(["about", "fact", "value", "status", "told", "last probe"], [_row(row) for row in rows])
    else:
        click.echo("no memory" + (f" holds {asked!r}" if asked else "") + (f" with status {status}" if status else ""))


def _read(ledger: Any, query: str, status: str | None) -> dict[str, Any]:
    from sleepd.daemon.memories import memories

    return memories(ledger, query, status)


def _row(row: Mapping[str, Any]) -> list[str]:
    return [
        str(row["subject"]),
        str(row["relation"]),
        str(row["value"]),
        status_of(str(row["status"])),
        output.local(row["told_at"]),
        _probe(row["last_probe"], int(row["misses"])),
    ]


def status_of(status: str) -> str:
    return click.style(status, fg=COLOURS.get(status))


def _probe(probe: Mapping[str, Any] | None, misses: int) -> str:
    if probe is None:
        return "not asked yet"
    missed = f", {output.plural(misses, 'night')} without success" if misses else ""
    return f"{probe['cycle']}: {'recalled' if probe['recalled'] else 'not recalled'}{missed}"
