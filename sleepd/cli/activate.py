"""``sleepd activate N``: serve the adapter of a cycle, or none."""

from __future__ import annotations

import os

import click

from sleepd.cli import output
from sleepd.cli.options import json_option, target_options
from sleepd.cli.switched import SWITCH_SECONDS, tell
from sleepd.cli.target import Target, asker

BASE = "base"


def _target(ctx: click.Context, parameter: click.Parameter, value: str) -> str:
    """A cycle's number, its adapter's name, or ``base``."""
    number = value.removeprefix("cycle_")
    if value == BASE:
        return BASE
    if not (number.isascii() and number.isdecimal() and int(number) > 0):
        raise click.BadParameter(f"{value!r} is neither a cycle's number nor {BASE}")
    return str(int(number))


@click.command(short_help="Serve a cycle's adapter, or `base`.")
@click.argument("adapter", metavar="N|base", callback=_target)
@target_options
@json_option
@click.pass_obj
def command(target: Target, adapter: str) -> None:
    """Serve the adapter of cycle N, or `base`: the base model without an adapter."""
    result = target.call("activate", {"target": adapter, "by": asker(os.environ)}, SWITCH_SECONDS)
    if target.json:
        output.print_json(result)
    else:
        tell(result)
