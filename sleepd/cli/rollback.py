"""``sleepd rollback [N]``: back to an earlier adapter."""

from __future__ import annotations

import os

import click

from sleepd.cli import output
from sleepd.cli.options import json_option, target_options
from sleepd.cli.switched import SWITCH_SECONDS, tell
from sleepd.cli.target import Target, asker


@click.command(short_help="Back to an earlier adapter.")
@click.argument("number", metavar="[N]", required=False, type=click.IntRange(min=1))
@target_options
@json_option
@click.pass_obj
def command(target: Target, number: int | None) -> None:
    """Serve the adapter of cycle N again, or without N the one before the active one."""
    args = {"by": asker(os.environ)} | ({} if number is None else {"number": number})
    result = target.call("rollback", args, SWITCH_SECONDS)
    if target.json:
        output.print_json(result)
    else:
        tell(result)
