"""``sleepd show N``: one cycle, step by step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from sleepd.cli import history, output
from sleepd.cli.options import json_option, target_options
from sleepd.cli.target import Target


@click.command()
@click.argument("number", metavar="N", type=click.IntRange(min=1))
@target_options
@json_option
@click.pass_obj
def command(target: Target, number: int) -> None:
    """One cycle: who asked for it, its steps, its verdict."""
    document = history.ask(target, "show", {"number": number})
    if target.json:
        output.print_json(document)
        return
    output.pairs(_rows(document))


def _rows(cycle: Mapping[str, Any]) -> list[tuple[str, str]]:
    finished = cycle["finished_at"]
    return [
        (
            "cycle",
            f"{cycle['id']} ({cycle['kind']})"
            + (", active" if cycle["active"] else "")
            + (f", tag {cycle['tag']}" if cycle["tag"] else ""),
        ),
        ("asked by", str(cycle["requested_by"])),
        ("verdict", "\n".join([output.verdict(cycle["verdict"]), *map(str, cycle["reasons"])])),
        ("started", output.local(cycle["started_at"])),
        ("finished", output.local(finished) if finished else f"not yet: {cycle['step']}"),
        ("steps", "\n".join(f"{output.local(step['entered_at'])}  {step['step']}" for step in cycle["steps"]) or "none entered"),
    ]
