"""``sleepd tag N NAME``: keep a cycle's adapter for good."""

from __future__ import annotations

import os

import click

from sleepd.cli import output
from sleepd.cli.options import json_option, target_options
from sleepd.cli.target import Target, asker


@click.command(short_help="Name a cycle, so that it is kept.")
@click.argument("number", metavar="N", type=click.IntRange(min=1))
@click.argument("name", metavar="NAME")
@target_options
@json_option
@click.pass_obj
def command(target: Target, number: int, name: str) -> None:
    """Give cycle N a name. The adapter of a cycle with a name is never pruned."""
    result = target.call("tag", {"number": number, "name": name, "by": asker(os.environ)})
    if target.json:
        output.print_json(result)
    else:
        click.echo(f"cycle {number} is tagged {name}: its adapter is kept")
